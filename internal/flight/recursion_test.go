package flight_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A computation that asks for its own result is refused, whether it passes its context on or not.
func TestRecursion(t *testing.T) {
	for how, pass := range map[string]func(context.Context) context.Context{
		"by its context":                func(ctx context.Context) context.Context { return ctx },
		"by one that can't end":         context.WithoutCancel,
		"by its goroutine":              func(context.Context) context.Context { return context.Background() },
		"by another caller's goroutine": flight.InComputation,
	} {
		bubble(t, how, func(t *testing.T) {
			for can, ctx := range contexts(t) {
				g := newGroup()
				var inner error
				got, err := g.get(ctx, "k", func(ctx context.Context) int {
					_, inner = g.get(pass(ctx), "k", returns(1))
					return 2
				})
				if got != 2 || err != nil || !isRecursion(inner) {
					t.Errorf("%s: the caller got %d, %v, the computation %v", can, got, err, inner)
				}
			}
		})
	}
}

// A computation's goroutines are known by the context that InComputation returns, though it didn't get one itself.
func TestInComputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if ctx := flight.InComputation(t.Context()); ctx != t.Context() {
			t.Error("outside of a computation it returns another context")
		}
		for can, ctx := range contexts(t) {
			g := newGroup()
			var inner *call
			if _, err := g.get(ctx, "k", func(context.Context) int {
				ctx := flight.InComputation(context.Background())
				inner = start(func() (int, error) { return g.get(ctx, "k", returns(1)) })
				<-inner.done
				return 2
			}); err != nil || !isRecursion(inner.err) {
				t.Errorf("%s: the caller got %v, the computation's goroutine %v", can, err, inner.err)
			}
		}
	})
}

// Computations that wait for one another in a circle are refused, of whatever length, in one Group or several.
func TestRecursion_Circle(t *testing.T) {
	for how, pass := range map[string]func(context.Context) context.Context{
		"by context":   func(ctx context.Context) context.Context { return ctx },
		"by goroutine": func(context.Context) context.Context { return context.Background() },
	} {
		bubble(t, how, func(t *testing.T) {
			for can, ctx := range contexts(t) {
				for length := 2; length <= 4; length++ {
					for _, groups := range [][]*group{{newGroup()}, {newGroup(), newGroup()}} {
						var last error
						var ask func(ctx context.Context, i int) (int, error)
						ask = func(ctx context.Context, i int) (int, error) {
							key := string(rune('a' + i%length))
							return groups[i%length%len(groups)].get(ctx, key, func(ctx context.Context) int {
								got, err := ask(pass(ctx), i+1)
								if i == length-1 {
									last = err
								} else if err != nil {
									t.Errorf("%s: computation %d got %v", can, i, err)
								}
								return got + 1
							})
						}
						if got, err := ask(ctx, 0); got != length || err != nil || !isRecursion(last) {
							t.Errorf("%s, length %d in %d groups: the caller got %d, %v, the last computation %v",
								can, length, len(groups), got, err, last)
						}
					}
				}
			}
		})
	}
}

// Of computations that come to wait for one another at the same time one is refused, and the others end.
func TestRecursion_Deadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3
		for can, ctx := range contexts(t) {
			g := newGroup()
			g.stored = g.Tick
			var began sync.WaitGroup
			began.Add(n)
			var inner [n]error
			var calls []*call
			for i := range n {
				key, next := string(rune('a'+i)), string(rune('a'+(i+1)%n))
				calls = append(calls, start(func() (int, error) {
					return g.get(ctx, key, func(ctx context.Context) int {
						began.Done()
						began.Wait()
						_, inner[i] = g.get(ctx, next, returns(-1))
						return 1
					})
				}))
			}
			refused := 0
			for i, c := range calls {
				if <-c.done; c.err != nil || c.result != 1 {
					t.Errorf("%s: caller %d got %d, %v", can, i, c.result, c.err)
				}
				if isRecursion(inner[i]) {
					refused++
				} else if inner[i] != nil {
					t.Errorf("%s: computation %d got %v", can, i, inner[i])
				}
			}
			if refused != 1 {
				t.Errorf("%s: %d were refused, want one", can, refused)
			}
		}
	})
}

// Computations that need the same one, or one after the other, wait for it. They are no circle.
func TestRecursion_Diamond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			g.stored = g.Tick
			bottom := func(ctx context.Context) int {
				got, err := g.get(ctx, "bottom", takes(time.Second, 1))
				if err != nil {
					t.Errorf("%s: %v", can, err)
				}
				return got
			}
			got, err := g.get(ctx, "top", func(ctx context.Context) int {
				left := start(func() (int, error) { return g.get(ctx, "left", bottom) })
				right := start(func() (int, error) { return g.get(ctx, "right", bottom) })
				again := start(func() (int, error) { return g.get(ctx, "left", bottom) })
				<-left.done
				<-right.done
				<-again.done
				return left.result + right.result + again.result + bottom(ctx)
			})
			if got != 4 || err != nil {
				t.Errorf("%s: %d, %v", can, got, err)
			}
		}
	})
}

// A caller who is refused has left the flight again.
func TestRecursion_Leaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithCancelCause(t.Context())
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		led := startLead(ctx, c, &lead, func(ctx context.Context) int {
			w := g.join(t, ctx, "k")
			if err := w.Wait(ctx); !isRecursion(err) {
				t.Errorf("it got %v", err)
			}
			wantArrival(t, "it", w, flight.Recursion)
			return obedient(ctx)
		})
		synctest.Wait()
		if c.IsLeft() {
			t.Error("the first caller waits, but the flight counts as left")
		}
		cancel(errGone)
		if <-led.done; !c.IsLeft() {
			t.Error("the first caller has left, but the flight counts as waited for")
		}
		synctest.Wait()
	})
}

// A caller who has left a flight waits for it no more: that one may ask for what the caller's computation makes.
func TestRecursion_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			g.stored = g.Tick
			left := make(chan struct{})
			var inner error
			b := start(func() (int, error) {
				return g.get(ctx, "b", func(ctx context.Context) int {
					<-left
					_, inner = g.get(ctx, "a", returns(-1))
					return 1
				})
			})
			synctest.Wait()
			got, err := g.get(ctx, "a", func(ctx context.Context) int {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				if _, err := g.get(short, "b", returns(-1)); err != context.DeadlineExceeded {
					t.Errorf("%s: a got %v from b", can, err)
				}
				close(left)
				synctest.Wait()
				return 2
			})
			if <-b.done; got != 2 || err != nil || inner != nil || b.err != nil {
				t.Errorf("%s: a is %d, %v; b got %v from a, and is %v", can, got, err, inner, b.err)
			}
		}
	})
}

// A goroutine that a computation has left behind waits for nobody: what it asks for, with the computation's context, is
// not the computation's.
func TestRecursion_LeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			for how, handsOut := range map[string]bool{"finished": false, "handed out": true} {
				g := remote()
				c := &computation{Hands: handsOut, Later: handsOut}
				g.lead(t, ctx, "k", c)
				var behind *call
				gate := make(chan struct{})
				var lead flight.Wait
				<-startLead(ctx, c, &lead, func(ctx context.Context) int {
					behind = start(func() (int, error) {
						<-gate
						return g.get(ctx, "k", returns(2))
					})
					return 1
				}).done
				close(gate)
				if handsOut {
					synctest.Wait()
					c.Finish()
				}
				if <-behind.done; behind.result != 2 || behind.err != nil {
					t.Errorf("%s, %s: it got %d, %v", can, how, behind.result, behind.err)
				}
			}
		}
	})
}

// A computation that asks for its own result with the context of another one, which has ended, is refused as well.
func TestRecursion_EndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			var inner error
			got, err := g.get(ctx, "outer", func(ctx context.Context) int {
				var ended context.Context
				g.get(ctx, "inner", func(ctx context.Context) int {
					ended = ctx
					return 1
				})
				short, cancel := context.WithTimeout(ended, time.Second)
				defer cancel()
				_, inner = g.get(short, "outer", returns(-1))
				return 2
			})
			if got != 2 || err != nil || !isRecursion(inner) {
				t.Errorf("%s: the caller got %d, %v, the computation %v", can, got, err, inner)
			}
		}
	})
}
