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
