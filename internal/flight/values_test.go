package flight_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

type testKey struct{}

// computed returns the context of the function of a flight that has ended. first leads it, and joins, if not nil, joins
// it; look is what the function does with its context, and first may be cancelled meanwhile.
func computed(t *testing.T, first, joins context.Context, look func(context.Context)) (ctx context.Context) {
	t.Helper()
	g, c := newGroup(), &computation{LingerFor: time.Second}
	g.lead(t, first, "k", c)
	finished := c.Done()
	var lead flight.Wait
	led := startLead(first, c, &lead, func(given context.Context) int {
		synctest.Wait() // until the other one has joined
		ctx = given
		look(ctx)
		return 1
	})
	if joins != nil {
		g.join(t, joins, "k").Wait(joins)
	}
	<-finished
	<-led.done
	synctest.Wait()
	return ctx
}

func ignore(context.Context) {}

func listen(ctx context.Context) { ctx.Done() }

// The context of a computation has its first caller's values, while it runs and after it.
func TestContext_Value(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			for how, look := range map[string]func(context.Context){"ignored": ignore, "listened to": listen} {
				first := context.WithValue(ctx, testKey{}, "first")
				got := computed(t, first, context.WithValue(t.Context(), testKey{}, "second"), func(ctx context.Context) {
					if look(ctx); ctx.Value(testKey{}) != "first" || ctx.Value("other") != nil {
						t.Errorf("%s, %s: while it runs the values are %v, %v", can, how, ctx.Value(testKey{}), ctx.Value("other"))
					}
				})
				if got.Value(testKey{}) != "first" {
					t.Errorf("%s, %s: after that the value is %v", can, how, got.Value(testKey{}))
				}
			}
		}
	})
}

// That the function has returned doesn't end its context: what was made with it may be used for as long as the caller's
// own context lasts, and no longer.
func TestContext_OutlivesFunction(t *testing.T) {
	for how, look := range map[string]func(context.Context){"ignored": ignore, "listened to": listen} {
		bubble(t, how, func(t *testing.T) {
			first, cancel := context.WithCancelCause(t.Context())
			var heard <-chan struct{}
			ctx := computed(t, first, nil, func(ctx context.Context) {
				if look(ctx); how == "listened to" {
					heard = ctx.Done()
				}
			})
			derived, stop := context.WithCancel(ctx)
			defer stop()
			if ctx.Err() != nil || derived.Err() != nil || isClosed(ctx.Done()) || isClosed(heard) {
				t.Fatalf("it ended with the function: %v", ctx.Err())
			}
			time.Sleep(time.Hour)
			if ctx.Err() != nil || derived.Err() != nil {
				t.Errorf("it has ended: %v, and what was derived from it: %v", ctx.Err(), derived.Err())
			}
			cancel(errGone)
			if ctx.Err() != context.Canceled || context.Cause(ctx) != errGone {
				t.Errorf("the caller's has ended, but it: %v, because of %v", ctx.Err(), context.Cause(ctx))
			}
			synctest.Wait()
			if !isClosed(ctx.Done()) || heard != nil && !isClosed(heard) || !isClosed(derived.Done()) || context.Cause(derived) != errGone {
				t.Errorf("its Done isn't closed, or that of what was derived from it: %v, because of %v", derived.Err(), context.Cause(derived))
			}
		})
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// When the first caller has gone, the context is that of the one who waited for the result.
func TestContext_OfTheSecond(t *testing.T) {
	for how, look := range map[string]func(context.Context){"ignored": ignore, "listened to": listen} {
		bubble(t, how, func(t *testing.T) {
			first, cancelFirst := context.WithCancel(t.Context())
			second, cancelSecond := context.WithCancelCause(t.Context())
			ctx := computed(t, first, second, func(ctx context.Context) {
				cancelFirst()
				look(ctx)
			})
			if ctx.Err() != nil {
				t.Errorf("it has ended: %v", ctx.Err())
			}
			cancelSecond(errGone)
			if ctx.Err() != context.Canceled || context.Cause(ctx) != errGone {
				t.Errorf("the second's has ended, but it: %v, because of %v", ctx.Err(), context.Cause(ctx))
			}
		})
	}
}

// When nobody is left, the context ends with the function.
func TestContext_OfNobody(t *testing.T) {
	for how, look := range map[string]func(context.Context){"ignored": ignore, "listened to": listen} {
		bubble(t, how, func(t *testing.T) {
			first, cancel := context.WithCancel(t.Context())
			ctx := computed(t, first, nil, func(ctx context.Context) {
				cancel()
				look(ctx)
				if ctx.Err() != nil {
					t.Errorf("it doesn't linger: %v", ctx.Err())
				}
			})
			if ctx.Err() != context.Canceled || !isClosed(ctx.Done()) {
				t.Errorf("the function has returned, but it: %v", ctx.Err())
			}
		})
	}
}

// A context that has ended stays so, with what it ended with.
func TestContext_Ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		joins, leave := context.WithCancel(t.Context())
		defer leave()
		deadline, _ := first.Deadline()
		ctx := computed(t, first, joins, func(ctx context.Context) { <-ctx.Done() })
		for range 2 {
			if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded || !isClosed(ctx.Done()) {
				t.Errorf("%v, because of %v", ctx.Err(), context.Cause(ctx))
			}
			if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline.Add(time.Second)) {
				t.Errorf("its deadline is %v %v, want %v", got, ok, deadline.Add(time.Second))
			}
			leave()
		}
	})
}

// A context that was listened to ends at its deadline also after the function.
func TestContext_Deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx := computed(t, first, nil, listen)
		began := time.Now()
		<-ctx.Done()
		if ctx.Err() != context.DeadlineExceeded || time.Since(began) != time.Minute {
			t.Errorf("%v, after %v", ctx.Err(), time.Since(began))
		}
	})
}

// Where the caller's context can't end, neither can the computation's.
func TestContext_Endless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := computed(t, context.Background(), nil, func(ctx context.Context) {
			if _, ok := ctx.Deadline(); ok || ctx.Done() != nil || ctx.Err() != nil {
				t.Errorf("while it runs: it has a deadline: %v, it can end: %v", ok, ctx.Done() != nil)
			}
		})
		if ctx.Done() != nil || ctx.Err() != nil {
			t.Errorf("after that: it can end: %v, %v", ctx.Done() != nil, ctx.Err())
		}
	})
}

// What the owner does with the store may listen for the end of the computation's context without being taken for the
// function: that of the caller's doesn't count then.
func TestSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := flight.Steps(t.Context()); got != t.Context() {
			t.Error("a context that is of no computation is not returned")
		}
		first, cancel := context.WithCancelCause(t.Context())
		g, c := newGroup(), new(computation)
		g.lead(t, first, "k", c)
		var cause error
		go c.Lead(first, func(ctx context.Context) {
			steps := flight.Steps(ctx)
			<-steps.Done()
			cause = context.Cause(steps)
		})
		synctest.Wait()
		cancel(errGone)
		if synctest.Wait(); cause != errGone {
			t.Errorf("it ended because of %v", cause)
		}
	})
}

// Nobody waits for a refresh: its context ends with the function, unless somebody has joined it.
func TestContext_OfARefresh(t *testing.T) {
	for how, look := range map[string]func(context.Context){"ignored": ignore, "listened to": listen} {
		bubble(t, how, func(t *testing.T) {
			g := newGroup()
			var one, joined, several context.Context
			note := func(to *context.Context) func(context.Context) int {
				return func(ctx context.Context) int {
					synctest.Wait() // until somebody has joined
					look(ctx)
					*to = ctx
					return 1
				}
			}
			c := new(computation)
			g.Refresh(context.Background(), "one", flight.Check{}, c.maker()).Go(context.Background(), func(ctx context.Context) {
				c.compute(ctx, note(&one))
			})
			d := new(computation)
			f := g.Refresh(context.Background(), "joined", flight.Check{}, d.maker())
			second, cancel := context.WithCancelCause(t.Context())
			w := g.join(t, second, "joined")
			go f.Go(context.Background(), func(ctx context.Context) { d.compute(ctx, note(&joined)) })
			w.Wait(second)
			b := &batch{group: g, ctx: context.Background(), all: []*computation{{}, {}}}
			for i, c := range b.all {
				g.Refresh(b.ctx, string(rune('a'+i)), flight.Check{}, c.maker())
			}
			g.GoAll(b.ctx, b.flights(), func(context.Context) { b.run(note(&several)) })
			synctest.Wait()
			if one.Err() != context.Canceled || several.Err() != context.Canceled || joined.Err() != nil {
				t.Errorf("one %v, several %v, joined %v", one.Err(), several.Err(), joined.Err())
			}
			cancel(errGone)
			if joined.Err() != context.Canceled || context.Cause(joined) != errGone {
				t.Errorf("the one who joined has gone, but it: %v, because of %v", joined.Err(), context.Cause(joined))
			}
		})
	}
}

// The context of a run of several keys is that of the caller who waited for one of them.
func TestContext_OfARun(t *testing.T) {
	for _, key := range []string{"a", "b"} {
		bubble(t, key, func(t *testing.T) {
			g := newGroup()
			first, cancelFirst := context.WithCancel(t.Context())
			second, cancelSecond := context.WithCancelCause(t.Context())
			b := g.batch(t, first, time.Second, "a", "b")
			w := g.join(t, second, key)
			var got context.Context
			called := b.wait(func(ctx context.Context) int {
				cancelFirst()
				synctest.Wait() // until the batch's caller has left
				got = ctx
				return 1
			})
			w.Wait(second)
			if <-called.done; got.Err() != nil {
				t.Errorf("somebody has waited for %s, but it has ended: %v", key, got.Err())
			}
			cancelSecond(errGone)
			if got.Err() != context.Canceled || context.Cause(got) != errGone {
				t.Errorf("that one's has ended, but it: %v, because of %v", got.Err(), context.Cause(got))
			}
		})
	}
}

// In a bubble of testing/synctest nothing is done to a context that nobody has any more: that would end the process.
func TestContext_DroppedInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		computed(t, t.Context(), nil, listen)
		time.Sleep(2 * time.Minute) // it's told for a minute in any case
		collect()
	})
}

// collect collects garbage, and returns when a cleanup has run.
func collect() {
	ran := new(atomic.Bool)
	runtime.AddCleanup(new([64]byte), func(ran *atomic.Bool) { ran.Store(true) }, ran)
	for !ran.Load() {
		runtime.GC()
	}
}
