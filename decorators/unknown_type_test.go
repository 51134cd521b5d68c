package decorators_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
	"github.com/cacheutils/cacheutils/logging"
)

type (
	// seenCity is in the signature of a function, unseenCity in none.
	seenCity   struct{ Name string }
	unseenCity struct{ Name string }
)

// A lookout says what a process saw that called each function of TestLaw8_BehindAny.
type lookout struct {
	Got    []string
	Stats  []decorators.Stats
	Faults []string
}

// anyResults have values behind interfaces.
var anyResults = map[string]func(id int) any{
	"seen":             func(id int) any { return seenCity{"Rome"} },
	"seen pointer":     func(id int) any { return &seenCity{"Rome"} },
	"seen slice":       func(id int) any { return map[string]any{"a": []seenCity{{"Rome"}}} },
	"seen pointers":    func(id int) any { return []any{1, []*seenCity{{"Rome"}}, map[string]*seenCity{"a": nil}} },
	"plain slices":     func(id int) any { return []any{[]string{"a"}, map[string]int{"a": 1}, []int8{1}} },
	"unseen":           func(id int) any { return unseenCity{"Rome"} },
	"unseen in a map":  func(id int) any { return map[string]any{"a": unseenCity{"Rome"}} },
	"unseen in slices": func(id int) any { return []any{[]any{[2]*unseenCity{{"Rome"}}}} },
	"unseen in a key":  func(id int) any { return map[any]int{unseenCity{"Rome"}: 1} },
}

// callAll calls each function calls times.
func callAll(t *testing.T, addr string, calls int) (l lookout) {
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{addr}}})
	// As in any program, the type is in the signature of some function.
	decorators.Cached(func(id int) seenCity { return seenCity{} }, decorators.Key("any.signature"), decorators.On(set))
	var faults atomic.Pointer[[]string]
	faults.Store(new([]string))
	logging.SetSink(faultSink{&faults})
	defer logging.SetSink(nil)
	for _, name := range []string{
		"seen", "seen pointer", "seen slice", "seen pointers", "plain slices", "unseen", "unseen in a map", "unseen in slices", "unseen in a key",
	} {
		f, h := decorators.Cached1(func(_ context.Context, id int) (any, error) { return anyResults[name](id), nil },
			decorators.Key("any."+name), decorators.On(set))
		for range calls {
			got, err := f(context.Background(), 1)
			if err != nil {
				t.Fatal(err)
			}
			l.Got = append(l.Got, fmt.Sprintf("%s: %T", name, got))
		}
		l.Stats = append(l.Stats, h.Stats())
	}
	l.Faults = *faults.Load()
	return l
}

type faultSink struct{ to *atomic.Pointer[[]string] }

func (faultSink) Enabled(level logging.Level) bool { return level != logging.LevelDebug }

func (s faultSink) Log(_ logging.Level, e logging.Event) {
	all := append(*s.to.Load(), fmt.Sprint(e.Message(), " ", e.Err))
	s.to.Store(&all)
}

// A value behind an interface is a hit in another process where its type is in the signature of a cached function. Where it isn't, that
// process computes it once, which is no fault of anybody's, and both have hits from then on.
func TestLaw8_BehindAny(t *testing.T) {
	var addr string
	if workers.Job(&addr) {
		workers.Reply(callAll(t, addr, 2))
		return
	}
	server := memcachedtest.Start(t)
	callAll(t, server.Addr(), 1)
	other, err := workers.Receive[lookout](workers.Start(t, workers.Pattern(t.Name()), server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	again := callAll(t, server.Addr(), 2)
	for i, s := range other.Stats {
		name, wantComputed := strings.SplitN(other.Got[2*i], ":", 2)[0], uint64(0)
		if strings.HasPrefix(name, "unseen") {
			wantComputed = 1
		}
		if s.Computations > wantComputed || s.Hits != 2-s.Computations || s.Errors != 0 {
			t.Errorf("%s: in the other process %+v, want at most %d computations, and no errors", name, s, wantComputed)
		}
		if s := again.Stats[i]; s.Computations != 0 || s.Hits != 2 || s.Errors != 0 {
			t.Errorf("%s: after that %+v, want hits", name, s)
		}
	}
	if len(other.Faults) > 0 || len(again.Faults) > 0 {
		t.Errorf("it was logged: %q, %q", other.Faults, again.Faults)
	}
	for i, got := range again.Got {
		if other.Got[i] != got {
			t.Errorf("the other process got %s, this one %s", other.Got[i], got)
		}
	}
}
