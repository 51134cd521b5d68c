package decorators_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Two answers are lost in a healthy process: it computes without the lease, another process invalidates, and a later
// caller of the first process loses the answer to its own lookup. It gets nothing from before the invalidation.
func TestLaw2_TwoLostAnswers(t *testing.T) {
	server := memcachedtest.Start(t)
	lost := errors.New("the answer is lost")
	var loseAdd, loseGet atomic.Bool
	s := watched(t, "", watch{func(_ context.Context, operation, key string) error {
		if operation == "add" && loseAdd.CompareAndSwap(true, false) || operation == "get" && loseGet.CompareAndSwap(true, false) {
			return lost
		}
		return nil
	}, server.Addr(), true}, nil)
	cachetest.Configure(t, backends.Config{
		"default": s,
		"another": {Backend: "memcached", Location: []string{server.Addr()}},
	})
	row := atomic.Int64{}
	row.Store(2)
	read, goOn := make(chan struct{}, 10), make(chan struct{})
	load := func(context.Context, int) (int64, error) {
		n := row.Load()
		read <- struct{}{}
		<-goOn
		return n, nil
	}
	F, h := decorators.Cached1(load, decorators.Key("f"), decorators.Group("all"))
	_, another := decorators.Cached1(load, decorators.Key("f"), decorators.Group("all"), decorators.Backend("another"))
	call := func() (int, error) { n, err := F(context.Background(), 0); return int(n), err }

	loseAdd.Store(true) // of the group's key
	first := ask(call)
	within(t, "the function has read the row", read)
	row.Store(3)
	if err := another.Invalidate(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	loseGet.Store(true) // of the lookup
	later := []<-chan answer{ask(call)}
	eventually(t, "it has joined", func() bool { return h.Stats().Joins == 1 })
	for range 4 { // and some that could look it up
		later = append(later, ask(call))
	}
	eventually(t, "they have joined", func() bool { return h.Stats().Joins == 5 })
	if loseAdd.Load() || loseGet.Load() {
		t.Fatal("nothing was lost: not a test")
	}
	close(goOn)
	want(t, "the first caller", 2, first)
	for _, c := range later {
		want(t, "a caller from after the invalidation", 3, c)
	}
	if n := h.Stats().Computations; n != 2 {
		t.Errorf("%d computations, want one next for all", n)
	}
}

// One call invalidates two targets. A result that was computed between its two writes, from what the other target
// had, is not left.
func TestLaw2_TwoTargetsOneCall(t *testing.T) {
	type invalidate func(ctx context.Context) error
	for name, options := range map[string][2][]decorators.Option{
		"groups": {{decorators.Group("a")}, {decorators.Group("b")}},
		"keys":   {},
	} {
		for _, order := range []string{"ab", "ba"} { // the groups are written in the order of their names
			t.Run(name+"/"+order, func(t *testing.T) {
				var between atomic.Pointer[func()]
				s := watched(t, "", watch{before: func(_ context.Context, operation, key string) error {
					if operation == "set" || operation == "delete" {
						if f := between.Load(); f != nil {
							(*f)()
						}
					}
					return nil
				}}, nil)
				cachetest.Configure(t, backends.Config{"default": s})
				bg := context.Background()
				row := atomic.Int64{}
				row.Store(1)
				var Outer func(context.Context, string) (int64, error)
				var do invalidate
				if name == "groups" {
					Inner, _ := decorators.Cached1(func(context.Context, string) (int64, error) { return row.Load(), nil },
						append(options[1], decorators.Key("inner"))...)
					Outer, _ = decorators.Cached1(func(ctx context.Context, s string) (int64, error) { return Inner(ctx, s) },
						append(options[0], decorators.Key("outer"))...)
					if order == "ba" {
						Inner, _ = decorators.Cached1(func(context.Context, string) (int64, error) { return row.Load(), nil },
							append(options[0], decorators.Key("inner"))...)
						Outer, _ = decorators.Cached1(func(ctx context.Context, s string) (int64, error) { return Inner(ctx, s) },
							append(options[1], decorators.Key("outer"))...)
					}
					do = func(ctx context.Context) error { return cache.InvalidateGroups(ctx, []string{"a", "b"}) }
				} else {
					keys := []string{"outer", "inner"}
					if order == "ba" {
						keys = []string{"inner", "outer"}
					}
					var F func(context.Context, []string) (map[string]int64, error)
					var h *decorators.HandleMany[string, int64]
					F, h = decorators.CachedMany(func(ctx context.Context, asked []string) (map[string]int64, error) {
						found := map[string]int64{}
						for _, key := range asked {
							if found[key] = row.Load(); key == "outer" {
								inner, err := F(ctx, []string{"inner"})
								if err != nil {
									return nil, err
								}
								found[key] = inner["inner"]
							}
						}
						return found, nil
					}, decorators.Key("tree"))
					Outer = func(ctx context.Context, key string) (int64, error) {
						m, err := F(ctx, []string{"outer"})
						return m["outer"], err
					}
					do = func(ctx context.Context) error { return h.Invalidate(ctx, keys) }
				}
				got(t, "before", int64(1))(Outer(bg, "x"))
				row.Store(2)
				reads := 0
				var mu sync.Mutex
				read := func() { // in between the writes of both, and after the first of each
					mu.Lock()
					defer mu.Unlock()
					if reads++; reads > 100 {
						return
					}
					between.Store(nil)
					if _, err := Outer(bg, "x"); err != nil {
						t.Error(err)
					}
				}
				between.Store(&read)
				again := func() { read(); between.Store(&read) }
				between.Store(&again)
				if err := do(bg); err != nil {
					t.Fatal(err)
				}
				between.Store(nil)
				if reads == 0 {
					t.Fatal("nobody has read in between: not a test")
				}
				got(t, "after the invalidation", int64(2))(Outer(bg, "x"))
			})
		}
	}
}

// ForceRecalc returns without an error only when nothing older is stored. A caller whose time is up before that gets
// an error, and what was computed is stored all the same.
func TestLaw2_ForceRecalcInLittleTime(t *testing.T) {
	var held atomic.Pointer[chan struct{}]
	s := watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
		if hold := held.Load(); hold != nil && operation == "cas" {
			<-*hold
		}
		return nil
	}}, map[string]any{"operation_timeout": "20s"})
	cachetest.Configure(t, backends.Config{"default": s})
	hold := make(chan struct{})
	F, h := decorators.Cached1(func(context.Context, int) (int, error) {
		if h := held.Load(); h == nil {
			held.Store(&hold)
		}
		return 2, nil
	}, decorators.Key("force.little"))
	if err := h.Set(context.Background(), 1, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	a := within(t, "ForceRecalc", ask(func() (int, error) { return h.ForceRecalc(ctx, 1) }))
	got(t, "a call meanwhile", 1)(F(context.Background(), 1))
	if !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("ForceRecalc: got %v, while an older result is served", a)
	}
	close(hold)
	eventually(t, "the new result is stored", func() bool {
		n, err := F(context.Background(), 1)
		return n == 2 && err == nil
	})
}
