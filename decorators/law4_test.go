package decorators_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

func TestLaw4_OneComputationPerKey(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var now, most, runs atomic.Int64
		F, h := decorators.Cached(func(ctx context.Context, key int) (string, error) {
			runs.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			time.Sleep(5 * time.Millisecond)
			return fmt.Sprint(key), nil
		}, decorators.Key("law4"))
		const waves, callers = 20, 64
		for key := range waves {
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					ctx := context.Background()
					if i%2 == 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Minute)
						defer cancel()
					}
					if got, err := F(ctx, key); got != fmt.Sprint(key) || err != nil {
						t.Errorf("F(%d) = %q, %v", key, got, err)
					}
				})
			}
			wg.Wait()
		}
		if runs.Load() != waves || most.Load() != 1 {
			t.Errorf("%d waves of %d callers ran it %d times, %d at once at most; want once each", waves, callers, runs.Load(), most.Load())
		}
		if s := h.Stats(); s.Hits+s.Misses != waves*callers || s.Computations != waves {
			t.Errorf("the counts don't add up: %+v", s)
		}
	})
}

func TestLaw4_OnDummyToo(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "dummy"}})
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law4.dummy"))
	first := ask(func() (int, error) { return F(context.Background()) })
	within(t, "the run", g.started)
	var others []<-chan answer
	for range 10 {
		others = append(others, ask(func() (int, error) { return F(context.Background()) }))
	}
	eventually(t, "all have joined", func() bool { return h.Stats().Joins == 10 })
	close(g.release)
	for _, c := range append(others, first) {
		if a := within(t, "a caller", c); a.run != 1 {
			t.Errorf("got run %d", a.run)
		}
	}
}

// lossy is an engine that loses its next lostAnswers answers to add: the item is stored, the
// caller gets an error.
type lossy struct{ engine.Engine }

var lostAnswers atomic.Int64

func (l lossy) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	added, err := l.Engine.Add(ctx, key, item, timeout)
	if lostAnswers.Add(-1) >= 0 {
		return false, context.DeadlineExceeded
	}
	return added, err
}

// A lease whose owner doesn't know that it holds it keeps no caller waiting for the lease's whole life.
func TestLaw4_LeaseTakenUnknowingly(t *testing.T) {
	register.Do(func() {
		backends.Register("lossy", func(s engine.Settings) (engine.Engine, error) {
			e, err := locmem.Open(s)
			return lossy{e}, err
		})
	})
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "lossy", Location: []string{t.Name()}, Options: map[string]any{"lease": time.Hour},
	}})
	F, h := decorators.Cached(func(n int) (int, error) { return n, nil }, decorators.Key("law4.lossy"))
	lostAnswers.Store(1)
	if n, err := F(1); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	if a := within(t, "the next caller", ask(func() (int, error) { return F(1) })); a.run != 1 || a.err != nil {
		t.Errorf("the next caller got %v", a)
	}
	if s := h.Stats(); s.Computations != 2 || s.Stores != 1 {
		t.Errorf("%+v, want two computations, of which the second is stored", s)
	}
}

// register has an engine registered once, whatever -count says.
var register sync.Once
