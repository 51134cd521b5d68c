package flight

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// Contexts of computations that call one another follow the callers outside, never one another.
func TestContext_Circle(t *testing.T) {
	why := errors.New("the client has gone")
	outside, cancel := context.WithCancelCause(context.Background())
	a := newContext(outside, nil, time.Time{})
	derived, stop := context.WithCancel(a)
	defer stop()
	b := newContext(derived, nil, time.Time{})
	b.Done() // somebody waits for it
	b.end(a)
	a.end(b)
	if a.Err() != nil || b.Err() != nil {
		t.Fatalf("they have ended: %v, %v", a.Err(), b.Err())
	}
	cancel(why)
	select {
	case <-b.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("b hasn't ended with the caller outside")
	}
	for name, w := range map[string]*runContext{"a": a, "b": b} {
		if w.Err() != context.Canceled || context.Cause(w) != why {
			t.Errorf("%s: %v, because of %v", name, w.Err(), context.Cause(w))
		}
	}
}

// A context that somebody waits for is kept for the caller's time only, and what nobody waits for not at all.
func TestContext_IsCollected(t *testing.T) {
	for name, heard := range map[string]bool{"heard": true, "not heard": false} {
		outside, cancel := context.WithCancel(context.Background())
		collected := make(chan struct{})
		func() {
			w := newContext(outside, nil, time.Now().Add(time.Hour))
			runtime.AddCleanup(w, func(c chan struct{}) { close(c) }, collected)
			if heard {
				w.Done()
			}
			w.end(outside)
		}()
		if heard {
			cancel()
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			runtime.GC()
			select {
			case <-collected:
			default:
				if time.Now().Before(deadline) {
					continue
				}
				t.Errorf("%s: it is kept", name)
			}
			break
		}
		cancel()
	}
}

// A value is looked for in the context of the computation and in that of the outermost caller, however many
// computations are between them, so that the time for calls within each other grows with their number.
func TestContext_ValuesOfNested(t *testing.T) {
	type userKey struct{}
	outside := context.WithValue(context.Background(), userKey{}, "value")
	for name, nest := range map[string]func(context.Context) context.Context{
		"with an end":    func(ctx context.Context) context.Context { return newContext(ctx, nil, time.Time{}) },
		"without an end": func(ctx context.Context) context.Context { return &endless{valuesOf(ctx), nil} },
	} {
		ctx := outside
		for range 100 {
			ctx = nest(ctx)
			if got := valuesOf(ctx); got != outside {
				t.Fatalf("%s: the values are those of %v", name, got)
			}
		}
		if got := ctx.Value(userKey{}); got != "value" {
			t.Errorf("%s: got %v", name, got)
		}
		between := context.WithValue(ctx, userKey{}, "nearer")
		if got := nest(between).Value(userKey{}); got != "nearer" {
			t.Errorf("%s: got %v, want the value that was put between", name, got)
		}
	}
}
