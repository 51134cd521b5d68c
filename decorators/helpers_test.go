package decorators_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/store"
)

// longForm reports whether the tests have as much time as they need.
func longForm() bool { return os.Getenv("CACHEUTILS_LONG") == "1" }

// pick returns what the form of the test calls for.
func pick[T any](short, long T) T {
	if longForm() {
		return long
	}
	return short
}

// tick is by how much two clocks of one machine, one of them in milliseconds, may differ.
const tick = 5 * time.Millisecond

// quantile returns the value below which that part of d lies. A d that is empty ends the test: every
// bar would hold.
func quantile(t *testing.T, d []time.Duration, part float64) time.Duration {
	t.Helper()
	if len(d) == 0 {
		t.Fatal("a quantile of no times")
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(int(float64(len(d))*part), len(d)-1)]
}

// spread shows how d is distributed.
func spread(t *testing.T, d []time.Duration) string {
	t.Helper()
	return fmt.Sprintf("p50 %v, p99 %v, max %v (%d)", quantile(t, d, 0.5), quantile(t, d, 0.99), quantile(t, d, 1), len(d))
}

// gate is a function that waits until it is let through, so that a test decides what
// happens while it runs.
type gate struct {
	started chan int // receives the number of each run when it starts
	release chan struct{}
	runs    atomic.Int64
}

func newGate() *gate {
	return &gate{started: make(chan int, 100), release: make(chan struct{})}
}

func (g *gate) wait(ctx context.Context) (run int, err error) {
	run = int(g.runs.Add(1))
	g.started <- run
	select {
	case <-g.release:
		return run, nil
	case <-ctx.Done():
		return run, context.Cause(ctx)
	}
}

// within returns what c receives.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing after 20 s", what)
		panic("not reached")
	}
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// An answer is what a call returned.
type answer struct {
	run int
	err error
}

// ask calls f on a goroutine of its own.
func ask(f func() (int, error)) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		run, err := f()
		c <- answer{run, err}
	}()
	return c
}

// raise makes a at least v.
func raise(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}

// mustPanic calls f, which has to panic with a text of this package that contains want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		got := fmt.Sprint(recover())
		if !strings.Contains(got, want) || !strings.HasPrefix(got, "decorators: ") {
			t.Errorf("panicked with %q, want one of package decorators that says %q", got, want)
		}
	}()
	f()
}

// panicText returns what f panics with, as text, or "".
func panicText(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

// cancellable returns a context that ends with the test.
func cancellable(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

// got wants a call's results.
func got[T any](t *testing.T, what string, want T) func(T, error) {
	t.Helper()
	return func(got T, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%s: error %v (-want +got)\n%s", what, err, diff)
		}
	}
}

// callAny calls fn, a func of any type, as a caller in Go would.
func callAny(fn any, args []any) []any {
	v := reflect.ValueOf(fn)
	var in []reflect.Value
	for i, arg := range args {
		t := v.Type().In(min(i, v.Type().NumIn()-1))
		if v.Type().IsVariadic() && i >= v.Type().NumIn()-1 {
			t = t.Elem()
		}
		a := reflect.New(t).Elem()
		if arg != nil {
			a.Set(reflect.ValueOf(arg))
		}
		in = append(in, a)
	}
	var out []any
	for _, r := range v.Call(in) {
		out = append(out, r.Interface())
	}
	return out
}

// requireError returns the error that fn returns or panics with.
func requireError(fn any, args []any) (err error) {
	defer func() {
		if p, ok := recover().(error); ok {
			err = p
		}
	}()
	out := callAny(fn, args)
	err, _ = out[len(out)-1].(error)
	return err
}

// key returns the key of a call with args.
// stored returns the default backend's store in a set, and the key there whose text CacheKey has returned. By these the
// low-level operations reach what is cached for functions, which those of package backends don't change.
func stored(caches *backends.Caches, text string, groups ...string) (*store.Store, store.Key, error) {
	s, err := caches.Store("default", store.Caller{})
	if err != nil {
		return nil, store.Key{}, err
	}
	return s, s.KeyOf(string(s.AppendPrefix(nil))+text, s.Groups(groups...)), nil
}

func key(t *testing.T, h interface{ CacheKey(...any) (string, error) }, args ...any) string {
	t.Helper()
	k, err := h.CacheKey(args...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// inGroups returns the option Group, if there are groups.
func inGroups(names []string) []decorators.Option {
	if len(names) == 0 {
		return nil
	}
	return []decorators.Option{decorators.Group(names...)}
}
