package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// The faults that django-cache-utils has, as they would show in decorated calls. Those of keys alone
// are in package cachekey, those of the low-level API in backends/backendtest, those of servers and
// networks in the tests of the memcached engine. Invalidations that a computation overtakes, processes
// that meet a group without a generation, and the price of a hit in a group have tests named by their
// laws. What can't occur in Go has no test: arguments have no names and so there is one way to give
// them, there are no class methods, and nothing is decorated without a call.

func TestFaults_Keys(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("spaces and invalid UTF-8 count", func(t *testing.T) {
			F, _ := decorators.Cached(func(s string) string { return s }, decorators.Key("faults.texts"))
			for _, s := range []string{"ab", "a b", "a  b ", "a\x20b", "\x80", "\u0080", `\x80`, `\udc80`, "a\nb", "'", `"`, `\x20`, ""} {
				if got := F(s); got != s {
					t.Errorf("F(%q) = %q", s, got)
				}
			}
		})
		t.Run("types count", func(t *testing.T) {
			F, _ := decorators.Cached(func(v any) string { return fmt.Sprintf("%T %v", v, v) }, decorators.Key("faults.types"))
			for _, v := range []any{
				nil, "None", 1, int64(1), "1", []byte("1"), "b'1'", true, "True", 1.0, float32(1),
				[]any{"a", "b"}, []any{"a, b"}, []string{"a", "b"}, map[string]any{"a": 1}, map[string]any{"a": "1"},
				shop{"x"}, &shop{"x"}, struct{ name string }{"x"},
			} {
				want := fmt.Sprintf("%T %v", v, v)
				if got := F(v); got != want {
					t.Errorf("F(%#v) = %q, want %q", v, got, want)
				}
			}
		})
		t.Run("no addresses", func(t *testing.T) {
			F, h := decorators.Cached(func(p *shop) string { return p.name }, decorators.Key("faults.pointers"))
			for i := range 200 {
				name := fmt.Sprint(i % 50)
				if got := F(&shop{name}); got != name {
					t.Errorf("got %q for a new object with the name %q", got, name)
				}
			}
			if n := h.Stats().Computations; n != 50 {
				t.Errorf("%d computations for 50 values", n)
			}
		})
		t.Run("maps have one key", func(t *testing.T) {
			F, h := decorators.Cached(func(m map[string]int) int { return len(m) }, decorators.Key("faults.maps"))
			for range 1000 {
				m := map[string]int{}
				for i := range 8 {
					m[fmt.Sprint(i)] = i
				}
				F(m)
			}
			if n := h.Stats().Computations; n != 1 {
				t.Errorf("%d computations for one map", n)
			}
		})
		t.Run("generic instantiations", func(t *testing.T) {
			Int, _ := decorators.Cached(pair[int])
			String, _ := decorators.Cached(pair[string])
			Any, _ := decorators.Cached(pair[any])
			if a, b, c := Int(1), String("1"), Any(1); a != "int" || b != "string" || c != "int" {
				t.Errorf("got %s, %s, %s", a, b, c)
			}
		})
	})
}

func TestFaults_Methods(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("one key for call, CacheKey, Invalidate, ForceRecalc, RequireCache", func(t *testing.T) {
			runs := 0
			F, h := decorators.Cached(func(s *shop, n int) int { runs++; return runs },
				decorators.Key("faults.methods"), decorators.ObjectAttrs(shop{}, "name"))
			before := key(t, h, &shop{"a"}, 5)
			if F(&shop{"a"}, 5) != 1 || h.RequireCache(&shop{"a"}, 5) != 1 {
				t.Error("RequireCache has another key than the call")
			}
			if h.ForceRecalc(&shop{"a"}, 5) != 2 || F(&shop{"a"}, 5) != 2 {
				t.Error("ForceRecalc has another key than the call")
			}
			if err := h.Invalidate(&shop{"a"}, 5); err != nil || F(&shop{"a"}, 5) != 3 {
				t.Errorf("Invalidate has another key than the call: %v", err)
			}
			if after := key(t, h, &shop{"a"}, 5); after != before {
				t.Errorf("the key was %s before the first call and %s after", before, after)
			}
		})
		t.Run("errors are not cached", func(t *testing.T) {
			runs := 0
			F, _ := decorators.Cached(func() (int, error) { runs++; return 0, errors.New("no") }, decorators.Key("faults.errors"))
			F()
			F()
			if runs != 2 {
				t.Errorf("%d runs, want 2", runs)
			}
		})
	})
}

func TestFaults_Values(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("RequireCache finds zero values", func(t *testing.T) {
			requireZero(t, 0)
			requireZero(t, 0.0)
			requireZero(t, "")
			requireZero(t, false)
			requireZero(t, []byte{})
			requireZero(t, []string{})
			requireZero(t, map[string]int{})
			requireZero(t, struct{}{})
			requireZero(t, city{})
		})
		t.Run("a nil is computed each time and never written", func(t *testing.T) {
			F, h := decorators.Cached(func() []int { return nil }, decorators.Key("faults.nil"))
			for range 50 {
				F()
			}
			if s := h.Stats(); s.Computations != 50 || s.Stores != 0 {
				t.Errorf("%+v", s)
			}
		})
		t.Run("a value that can't be encoded is returned", func(t *testing.T) {
			type node struct{ Next *node }
			F, h := decorators.Cached(func() *node {
				n := &node{}
				n.Next = n
				return n
			}, decorators.Key("faults.cycle"))
			for range 3 {
				if n := F(); n.Next != n {
					t.Error("another value")
				}
			}
			if s := h.Stats(); s.Computations != 3 || s.Unstorable != 3 || s.Errors != 0 {
				t.Errorf("%+v", s)
			}
		})
	})
	t.Run("an entry that another program wrote is a miss and is overwritten", func(t *testing.T) {
		server := cachetest.Memcached(t)
		e, err := memcached.Open(engine.Settings{Location: []string{server.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		F, h := decorators.Cached(func() city { return city{ID: 1, Name: "Rome"} }, decorators.Key("faults.foreign"))
		F()
		stored := ":1:" + key(t, h)
		good, err := e.Get(context.Background(), stored)
		if err != nil {
			t.Fatal(err)
		}
		for name, item := range map[string]engine.Item{
			"text with flags 0":  {Value: []byte("abc")},
			"text with flags 16": {Value: []byte("abc"), Flags: 16},
			"a number":           {Value: []byte("12"), Flags: 2},
			"a pickle":           {Value: []byte("\x80\x05\x88."), Flags: 1},
			"nothing":            {},
			"our flags, no head": {Value: []byte("abc"), Flags: good.Flags},
			"cut off":            {Value: good.Value[:len(good.Value)-3], Flags: good.Flags},
			"head only":          {Value: good.Value[:11], Flags: good.Flags},
			"a byte too many":    {Value: append(good.Value[:len(good.Value):len(good.Value)], 0), Flags: good.Flags},
		} {
			t.Run(name, func(t *testing.T) {
				if err := e.Set(context.Background(), stored, item, time.Minute); err != nil {
					t.Fatal(err)
				}
				if err := requireError(h.RequireCache, nil); !errors.Is(err, cacheutils.ErrNoCachedValue) {
					t.Errorf("RequireCache: got %v, want ErrNoCachedValue", err)
				}
				before := h.Stats()
				if got := F(); got.Name != "Rome" {
					t.Errorf("got %+v", got)
				}
				F()
				if after := h.Stats(); after.Computations != before.Computations+1 || after.Hits != before.Hits+1 || after.Errors == before.Errors {
					t.Errorf("before %+v\nafter  %+v", before, after)
				}
			})
		}
	})
}

// requireZero checks that RequireCache distinguishes a cached zero from a miss.
func requireZero[T any](t *testing.T, zero T) {
	t.Helper()
	F, h := decorators.Cached(func() (T, error) { return zero, nil }, decorators.Key(fmt.Sprintf("faults.zero %T", zero)), decorators.CacheNil())
	if _, err := h.RequireCache(); !errors.Is(err, cacheutils.ErrNoCachedValue) {
		t.Errorf("%T: before the call RequireCache returns %v", zero, err)
	}
	F()
	if got, err := h.RequireCache(); err != nil || fmt.Sprint(got) != fmt.Sprint(zero) {
		t.Errorf("%T: got %v, %v", zero, got, err)
	}
}

// After a quick restart of the server no call fails and the cache works again.
func TestFaults_QuickRestart(t *testing.T) {
	server := cachetest.Memcached(t)
	F, h := decorators.Cached(func(n int) (int, error) { return n, nil }, decorators.Key("faults.restart"))
	for n := range 50 {
		F(n)
	}
	server.Restart()
	for n := range 50 {
		if got, err := F(n); got != n || err != nil {
			t.Errorf("F(%d) = %d, %v", n, got, err)
		}
	}
	if n := h.Stats().Errors; n != 0 {
		t.Errorf("%d calls met a fault, want none", n)
	}
	for n := range 50 {
		F(n)
	}
	if s := h.Stats(); s.Computations != 100 || s.Hits != 50 {
		t.Errorf("got %+v, want 50 computations before and 50 after the restart, and then 50 hits", s)
	}
}

// The function of the processes below; its results say which one ran it.
func whoami(n int) (string, error) { return fmt.Sprint(os.Getpid(), "-", n), nil }

// Two processes on one memcached have one entry under one key, and one that never called the
// function can invalidate it.
func TestTwoProcesses(t *testing.T) {
	var job otherJob
	if workers.Job(&job) {
		workers.Reply(job.do(t))
		return
	}
	server := cachetest.Memcached(t)
	Who, who := decorators.Cached(whoami)
	first, err := Who(1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := runProcess(t, server.Addr(), "key"), key(t, who, 1); got != want {
		t.Errorf("the other process has the key %s, this one %s", got, want)
	}
	if got := runProcess(t, server.Addr(), "call"); got != first {
		t.Errorf("the other process got %s, want this one's %s", got, first)
	}
	if got := runProcess(t, server.Addr(), "invalidate"); got != "<nil>" {
		t.Fatalf("Invalidate in a process that never called the function: %s", got)
	}
	if _, err := who.RequireCache(1); !errors.Is(err, cacheutils.ErrNoCachedValue) {
		t.Errorf("after the other process's Invalidate RequireCache returns %v", err)
	}
}

// An otherJob is what another process does with whoami, or with a group, on the same memcached.
type otherJob struct{ Memcached, Do string }

func runProcess(t *testing.T, addr, do string) string {
	t.Helper()
	answer, err := workers.Receive[string](workers.Start(t, "^TestTwoProcesses$", otherJob{addr, do}))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (j otherJob) do(t *testing.T) string {
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{j.Memcached}}})
	Who, who := decorators.Cached(whoami)
	switch j.Do {
	case "key":
		return key(t, who, 1)
	case "call":
		got, err := Who(1)
		if err != nil {
			t.Fatal(err)
		}
		return got
	case "invalidate":
		return fmt.Sprint(who.Invalidate(1))
	case "group":
		return fmt.Sprint(cache.InvalidateGroup(context.Background(), "g"))
	}
	t.Fatalf("%q isn't known", j.Do)
	return ""
}

// A server that hangs doesn't use up the time that a caller with a short deadline has for the function.
func TestLaw1_ShortDeadline(t *testing.T) {
	server := cachetest.Memcached(t)
	Load, loads := decorators.Cached1(func(ctx context.Context, id int) (int, error) { return id, ctx.Err() })
	Many, manys := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
		return map[int]int{ids[0]: ids[0]}, ctx.Err()
	})
	server.Pause()
	defer server.Resume()
	for i := range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		if got, err := Load(ctx, i); got != i || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		cancel()
		ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
		if got, err := Many(ctx, []int{i}); got[i] != i || err != nil {
			t.Errorf("many: got %v, %v", got, err)
		}
		cancel()
	}
	if loads.Stats().Errors == 0 || manys.Stats().Errors == 0 {
		t.Error("the calls have met no fault: not a test")
	}
}
