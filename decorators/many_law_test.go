package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A key that is invalidated while it is computed is not stored; the others of the call are.
func TestLaw2_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2)
		var load *decorators.HandleMany[int64, string]
		invalidate := true
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if invalidate {
				invalidate = false
				if err := load.Invalidate(ctx, []int64{1}); err != nil {
					t.Error(err)
				}
			}
			return rows.load(ctx, ids)
		}, decorators.Key("TestLaw2_CachedMany"+t.Name()))
		Load(ctx, []int64{1, 2})
		rows.was()
		Load(ctx, []int64{1, 2})
		wantAsked(t, "after that", rows, []int64{1})
	})
}

// A panic in an option's function reaches the caller of Set, as it does for one key.
func TestLaw5_CachedManySet(t *testing.T) {
	cachetest.Locmem(t)
	_, load := decorators.CachedMany(newTable().load, decorators.Key(t.Name()), decorators.TimeoutOf(func(string) time.Duration { panic("boom") }))
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), "boom") {
			t.Errorf("got %v", p)
		}
	}()
	load.Set(context.Background(), map[int64]string{1: "row 1", 2: "row 2"})
}

// Errors come with the results there are, and are not stored; panics reach the caller.
func TestLaw5_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		var fails atomic.Bool
		boom := errors.New("boom")
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if slices.Contains(ids, 13) {
				panic("13")
			}
			if slices.Contains(ids, 14) {
				runtime.Goexit()
			}
			if fails.Load() {
				return map[int64]string{2: "row 2"}, boom
			}
			return map[int64]string{ids[0]: fmt.Sprint("row ", ids[0])}, nil
		}, decorators.Key("TestLaw5_CachedMany"+t.Name()))
		got, err := Load(ctx, []int64{1})
		wantMany(t, "good", got, err, 1)
		fails.Store(true)
		got, err = Load(ctx, []int64{1, 2, 3})
		if err != boom {
			t.Errorf("got %v, want the function's own error", err)
		}
		wantMany(t, "with the error", got, nil, 1, 2)
		if _, err := load.RequireCache(ctx, []int64{2}); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("what came with an error is stored: %v", err)
		}
		for _, c := range []context.Context{ctx, cancellable(t)} {
			func() {
				defer func() {
					p, ok := recover().(*cacheutils.PanicError)
					if !ok || p.Value != "13" {
						t.Errorf("got %v", p)
					}
				}()
				Load(c, []int64{13, 1, 2})
			}()
			exited := make(chan bool)
			go func() {
				defer close(exited)
				Load(c, []int64{14, 2})
				t.Error("it returns after Goexit")
			}()
			<-exited
		}
		fails.Store(false)
		got, err = Load(ctx, []int64{3})
		wantMany(t, "after all that", got, err, 3)
	})
}

type nameKey struct{}

// A caller whose context ends gets its error; the function's context ends when the last has left.
func TestLaw9_CachedMany(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		ended := make(chan struct{})
		started := make(chan struct{})
		Load, _ := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if ctx.Value(nameKey{}) != "value" {
				t.Error("the context lost its values")
			}
			close(started)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}, decorators.Key("TestLaw9_CachedMany"+t.Name()))
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), nameKey{}, "value"))
		go func() {
			<-started
			cancel()
		}()
		if got, err := Load(ctx, []int64{1, 2, 3}); !errors.Is(err, context.Canceled) || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the function's context doesn't end")
		}
	})
}

// Many calls for overlapping keys at once: each key is computed once, and no call waits forever.
func TestLaw4_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		var counts [40]atomic.Int32
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			found := map[int64]string{}
			for _, id := range ids {
				counts[id].Add(1)
				found[id] = fmt.Sprint("row ", id)
			}
			time.Sleep(time.Millisecond)
			return found, nil
		}, decorators.Key("TestLaw4_CachedMany"+t.Name()), decorators.Group("g"))
		var all sync.WaitGroup
		for g := range 32 {
			all.Go(func() {
				var ids []int64
				for i := range 20 {
					ids = append(ids, int64((g*7+i*3)%len(counts)))
				}
				got, err := Load(ctx, ids)
				wantMany(t, "together", got, err, ids...)
			})
		}
		all.Wait()
		for id := range counts {
			if n := counts[id].Load(); n != 1 {
				t.Errorf("key %d: %d computations", id, n)
			}
		}
		if s := load.Stats(); s.Errors != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Law 1: without the server, the function is still called once for all keys.
func TestLaw1_CachedMany(t *testing.T) {
	ctx := context.Background()
	server := cachetest.Memcached(t)
	server.Stop()
	rows := newTable(1, 2, 3)
	Load, load := decorators.CachedMany(rows.load, decorators.Key(t.Name()))
	got, err := Load(ctx, []int64{1, 2, 3})
	wantMany(t, "server down", got, err, 1, 2, 3)
	wantAsked(t, "server down", rows, []int64{1, 2, 3})
	if err := load.Invalidate(ctx, []int64{1, 2}); err == nil {
		t.Error("Invalidate reports no error")
	}
	if _, err := load.RequireCache(ctx, []int64{1}); !errors.Is(err, cacheutils.ErrNoCachedValue) || !errors.Is(err, cacheutils.ErrServerDown) {
		t.Errorf("RequireCache: %v, want why", err)
	}
	if s := load.Stats(); s.Misses != 4 {
		t.Errorf("%+v, want as many misses as there were keys", s)
	}
	cachetest.Configure(t, backends.Config{})
	Nowhere, _ := decorators.CachedMany(rows.load, decorators.Key("nowhere"), decorators.Backend("none"))
	rows.was()
	got, err = Nowhere(ctx, []int64{1, 1})
	wantMany(t, "unknown backend", got, err, 1)
	wantAsked(t, "unknown backend", rows, []int64{1})
	got, err = Nowhere(ctx, nil)
	wantMany(t, "unknown backend, no keys", got, err)
	wantAsked(t, "unknown backend, no keys", rows)
	More, _ := decorators.CachedMany(func(context.Context, []int64) (map[int64]string, error) {
		return map[int64]string{1: "row 1", 2: "row 2"}, nil
	}, decorators.Key("more"), decorators.Backend("none"))
	got, err = More(ctx, []int64{1})
	wantMany(t, "unknown backend, more than was asked for", got, err, 1)
}

// hanging is an engine whose add doesn't answer for some keys until the caller gives up.
type hanging struct{ engine.Engine }

// hangs reports for which keys that is; it is set once a test.
var hangs atomic.Pointer[func(key string) bool]

func (h hanging) Traits() engine.Traits { return engine.Traits{} }

func (h hanging) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if hang := hangs.Load(); hang != nil && (*hang)(key) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return h.Engine.Add(ctx, key, item, timeout)
}

var registerHanging = sync.OnceFunc(func() {
	backends.Register("hanging", func(s engine.Settings) (engine.Engine, error) {
		e, err := locmem.Open(s)
		return hanging{e}, err
	})
})

func hangFor(t *testing.T, hang func(key string) bool) {
	t.Helper()
	registerHanging()
	hangs.Store(&hang)
	t.Cleanup(func() { hangs.Store(nil) })
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "hanging", Location: []string{t.Name()}, Options: map[string]any{"operation_timeout": "1m"},
	}})
}

// Once the caller has left, the function is called neither for keys that were still on their way to it, nor for
// those that waited for them.
func TestLaw9_CachedManyForNobody(t *testing.T) {
	for name, hang := range map[string]func(string) bool{
		"all keys on their way": func(string) bool { return true },
		"one key on its way":    func(key string) bool { return strings.HasSuffix(key, "((7,))") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangFor(t, hang)
				rows := newTable(1, 2, 3, 7)
				Load, load := decorators.CachedMany(rows.load, decorators.Key("nobody"))
				for what, call := range map[string]func(context.Context, []int64) (map[int64]string, error){"call": Load, "ForceRecalc": load.ForceRecalc} {
					ctx, cancel := context.WithCancel(context.Background())
					time.AfterFunc(time.Second, cancel)
					if got, err := call(ctx, []int64{1, 2, 3, 7}); !errors.Is(err, context.Canceled) || len(got) != 0 {
						t.Errorf("%s: got %v, %v", what, got, err)
					}
					synctest.Wait()
					wantAsked(t, what+" after the caller has left", rows)
					time.Sleep(2 * time.Second) // what was left of leases ends
				}
				if s := load.Stats(); s.Errors != 0 {
					t.Errorf("that a caller leaves is not a fault: %+v", s)
				}
			})
		})
	}
}

// When the caller of all keys has left, only the key that another caller waits for is computed.
func TestLaw9_CachedManyForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangFor(t, func(key string) bool { return strings.HasSuffix(key, "((7,))") })
		rows := newTable(1, 2, 3, 7)
		Load, _ := decorators.CachedMany(rows.load, decorators.Key("others"))
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := Load(ctx, []int64{1, 2, 3, 7}); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that left got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			got, err := Load(context.Background(), []int64{2})
			wantMany(t, "who stayed", got, err, 2)
		})
		synctest.Wait()
		cancel()
		all.Wait()
		wantAsked(t, "after all", rows, []int64{2})
	})
}
