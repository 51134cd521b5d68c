package decorators_test

//lint:file-ignore U1000 some fields are there for reflection to find

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type (
	service struct {
		mu    sync.Mutex
		Name  string
		calls atomic.Int64
		seen  map[int]int
	}
	repository interface{ Load(id int) int }
	secret     string
	aliased    struct{ Word secret }
	userCtx    interface {
		context.Context
		User() string
	}
	request struct {
		context.Context
		user string
	}
	protoMessage struct{ state *int }
)

func (s *service) Load(id int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[id%100]++
	return id
}

func (s *service) Report(id int) int { return id }

func (secret) MarshalText() ([]byte, error) { return []byte("[REDACTED]"), nil }

func (r request) User() string { return r.user }

func (*protoMessage) ProtoReflect() any { return nil }

// What can't be in a key is refused in one sentence: what it is, where, and what to do.
func TestRefusals_Arguments(t *testing.T) {
	for name, c := range map[string]struct {
		want []string
		not  string
		do   func()
	}{
		"a lock": {
			[]string{"parameter 1 of ", "has type *decorators_test.service, which can't be in a key: mu has type sync.Mutex", "it guards itself", "Ignore[*decorators_test.service]()"}, "",
			func() { decorators.Cached(func(s *service, id int) int { return id }) },
		},
		"a lock alone": {
			[]string{"KeyOf"}, "Ignore",
			func() { decorators.Cached(func(s *service) int { return 1 }) },
		},
		"a lock beside what is left out": {
			[]string{"KeyOf"}, "Ignore[*decorators_test.service]",
			func() {
				decorators.Cached(func(ctx context.Context, db *sql.DB, s *service) int { return 1 }, decorators.Ignore[*sql.DB]())
			},
		},
		"two of one type": {
			[]string{"KeyOf"}, "Ignore",
			func() { decorators.Cached(func(a, b *service) int { return 1 }) },
		},
		"a receiver": {
			[]string{"ObjectAttrs instead of WithReceiver"}, "Ignore[",
			func() { decorators.Cached((*service).Report, decorators.WithReceiver()) },
		},
		"an atomic pointer": {
			[]string{"it guards itself"}, "",
			func() { decorators.Cached(func(p *atomic.Pointer[int], id int) int { return id }) },
		},
		"a database": {
			[]string{"it guards itself", "Ignore[*sql.DB]()"}, "",
			func() { decorators.Cached2(func(context.Context, *sql.DB, int) (int, error) { return 1, nil }) },
		},
		"a lock as id": {
			[]string{"it guards itself"}, "",
			func() {
				decorators.CachedMany(func(context.Context, []*service) (map[*service]int, error) { return nil, nil })
			},
		},
		"a variadic lock": {
			[]string{"it guards itself", "Ignore[[]*decorators_test.service]()"}, "",
			func() { decorators.Cached(func(id int, s ...*service) int { return id }) },
		},
		"a mask": {
			[]string{"type decorators_test.secret, which can't be in a key: its MarshalText may hide", "UnmarshalText or a CacheKey method"}, "",
			func() { decorators.Cached(func(s secret) int { return 1 }) },
		},
		"a mask inside": {
			[]string{"Word has type decorators_test.secret, and its MarshalText may hide", `cachekey:"-"`}, "",
			func() { decorators.Cached(func(map[aliased]int) int { return 1 }) },
		},
		"a context inside": {
			[]string{"a context never counts", `cachekey:"-"`}, "",
			func() { decorators.Cached(func(struct{ ctx *request }) int { return 1 }) },
		},
		"a context as id": {
			[]string{"a context never counts"}, "",
			func() {
				decorators.CachedMany(func(context.Context, []userCtx) (map[userCtx]int, error) { return nil, nil })
			},
		},
		"a context as receiver": {
			[]string{"a context never counts"}, "",
			func() { decorators.Cached((*request).User, decorators.WithReceiver()) },
		},
		"a protobuf message": {
			[]string{
				"the state of a protobuf message is hidden; ",
				`import _ "github.com/cacheutils/cacheutils/codecs/protobuf" in the package that decorates the function, or say what stands for the arguments with KeyOf`,
			}, "Ignore",
			func() { decorators.Cached1(func(context.Context, *protoMessage) (int, error) { return 1, nil }) },
		},
		"a result of KeyOf": {
			[]string{"returns the type *decorators_test.service, which can't be in a key", "it guards itself"}, "",
			func() {
				decorators.Cached(func(s *service) int { return 1 }, decorators.KeyOf(func(s *service) *service { return s }))
			},
		},
		"Ignore of a context": {
			[]string{"Ignore[context.Context]: contexts never count; leave it out"}, "",
			func() {
				decorators.Cached(func(context.Context, int) int { return 1 }, decorators.Ignore[context.Context]())
			},
		},
		"Ignore of a context that isn't there": {
			[]string{"contexts never count"}, "",
			func() { decorators.Cached(func(int) int { return 1 }, decorators.Ignore[context.Context]()) },
		},
		"Ignore of another context": {
			[]string{"contexts never count"}, "",
			func() { decorators.Cached(func(userCtx, int) int { return 1 }, decorators.Ignore[userCtx]()) },
		},
		"kwargs in front": {
			[]string{"parameter 1 of ", "cachekey.Kwargs", "not the last"}, "",
			func() { decorators.Cached(func(kw cachekey.Kwargs, id int) int { return id }) },
		},
		"kwargs before a variadic": {
			[]string{"not the last"}, "",
			func() { decorators.Cached(func(kw cachekey.Kwargs, ids ...int) int { return 1 }) },
		},
		"a context of one's own and Stale": {
			[]string{"Stale", "context.Context"}, "",
			func() { decorators.Cached(func(userCtx, int) int { return 1 }, decorators.Stale(time.Hour)) },
		},
		"a context of one's own and Linger": {
			[]string{"Linger", "context.Context"}, "",
			func() { decorators.Cached(func(userCtx, int) int { return 1 }, decorators.Linger(time.Hour)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := panicText(c.do)
			if !strings.HasPrefix(text, "decorators: ") || strings.Count(text, "can't be in a key") > 1 || strings.Contains(text, "\n") {
				t.Errorf("panicked with %q, want one sentence of package decorators", text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("panicked with %q, want %q in it", text, want)
				}
			}
			if c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("panicked with %q, don't want %q in it", text, c.not)
			}
			if strings.Contains(text, "which can't be in a key") && !strings.Contains(text, "argument_refusal_test.go:") {
				t.Errorf("panicked with %q, which doesn't say where", text)
			}
		})
	}
}

// A service behind an interface is not read: calls with it compute, and it is left out where that is said. With -race it
// shows that nothing of it is read.
func TestLaw3_ServicesBehindInterfaces(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		s := &service{seen: map[int]int{}}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					s.Load(i)
				}
			}
		}()
		defer func() { close(stop); <-stopped }()
		ctx := cancellable(t)
		load := func(_ context.Context, r repository, id int) (int, error) { return r.Load(id), nil }
		F, f := decorators.Cached(load, decorators.Key("services"))
		G, g := decorators.Cached(load, decorators.Key("services ignored"), decorators.Ignore[repository]())
		H, h := decorators.Cached2(func(_ context.Context, r any, id int) (int, error) { return id, nil }, decorators.Key("services typed"))
		K, k := decorators.CachedMany(func(_ context.Context, r []any) (map[any]int, error) { return map[any]int{r[0]: 1}, nil }, decorators.Key("services many"))
		R, r := decorators.Cached((*service).Report, decorators.Key("report"), decorators.ObjectAttrs(service{}, "Name"))
		for i := range 300 {
			got(t, "an interface", i%3)(F(ctx, s, i%3))
			got(t, "an interface that is left out", i%3)(G(ctx, s, i%3))
			got(t, "any", i%3)(H(ctx, s, i%3))
			got(t, "any in a struct", i%3)(H(ctx, struct{ log, s any }{slog.Default(), s}, i%3))
			got(t, "many", map[any]int{s: 1})(K(ctx, []any{s}))
			if n := R(s, i%3); n != i%3 {
				t.Fatal(n)
			}
		}
		for name, want := range map[string]struct{ got, want uint64 }{
			"an interface":    {f.Stats().Computations, 300},
			"left out":        {g.Stats().Computations, 3},
			"any":             {h.Stats().Computations, 600},
			"many":            {k.Stats().Computations, 300},
			"with attributes": {r.Stats().Computations, 3},
		} {
			if want.got != want.want {
				t.Errorf("%s: %d computations, want %d", name, want.got, want.want)
			}
		}
	})
}
