package flight_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// contexts returns one that can end, and one that can't: then the computation runs on the caller's goroutine.
func contexts(t *testing.T) map[string]context.Context {
	return map[string]context.Context{"can end": t.Context(), "can't end": context.Background()}
}

// All callers of a function that panics panic with the same error, which has the panic's value and stack.
func TestPanic(t *testing.T) {
	for name, value := range map[string]any{"text": "oops", "error": errGone, "nil": nil, "nil of a PanicError": (*cacheutils.PanicError)(nil)} {
		bubble(t, name, func(t *testing.T) {
			for can, ctx := range contexts(t) {
				g, gate := newGroup(), make(chan struct{})
				g.stored = g.Tick
				var calls []*call
				for range 3 {
					calls = append(calls, start(func() (int, error) {
						return g.get(ctx, "k", func(context.Context) int {
							<-gate
							panicsHere(value)
							return 1
						})
					}))
				}
				synctest.Wait()
				close(gate)
				var first *cacheutils.PanicError
				for i, c := range calls {
					<-c.done
					err, ok := c.panic.(*cacheutils.PanicError)
					if !ok {
						t.Fatalf("%s: caller %d got %d, %v, panicked with %v", can, i, c.result, c.err, c.panic)
					}
					if first == nil {
						first = err
					}
					if err != first {
						t.Errorf("%s: caller %d panicked with another error", can, i)
					}
				}
				var wasNil *runtime.PanicNilError
				switch isError, _ := value.(error); {
				case value == nil && !errors.As(first, &wasNil), value != nil && first.Value != value:
					t.Errorf("%s: the value is %v", can, first.Value)
				case isError != nil && !errors.Is(first, isError):
					t.Errorf("%s: %v doesn't match the panic's error", can, first)
				case !bytes.Contains(first.Stack, []byte("panicsHere")):
					t.Errorf("%s: the stack doesn't say where it panicked:\n%s", can, first.Stack)
				}
				g.nobody(t, "k")
			}
		})
	}
}

func panicsHere(v any) { panic(v) }

// A panic in a computation that another one has asked for is that one's: with the stack of where it happened.
func TestPanic_Nested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			c := start(func() (int, error) {
				return g.get(ctx, "outer", func(ctx context.Context) int {
					g.get(ctx, "inner", func(context.Context) int {
						panicsHere("oops")
						return 1
					})
					return 2
				})
			})
			<-c.done
			if err, ok := c.panic.(*cacheutils.PanicError); !ok || err.Value != "oops" || !bytes.Contains(err.Stack, []byte("panicsHere")) {
				t.Errorf("%s: it panicked with %v", can, c.panic)
			}
		}
	})
}

// All callers of a function that calls runtime.Goexit end as its goroutine does, as a test does that fails.
func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g, gate := newGroup(), make(chan struct{})
			g.stored = g.Tick
			var calls []*call
			for range 3 {
				calls = append(calls, start(func() (int, error) {
					return g.get(ctx, "k", func(context.Context) int {
						<-gate
						runtime.Goexit()
						return 1
					})
				}))
			}
			synctest.Wait()
			close(gate)
			for i, c := range calls {
				if <-c.done; !c.exited {
					t.Errorf("%s: caller %d got %d, %v, panicked with %v", can, i, c.result, c.err, c.panic)
				}
			}
			g.nobody(t, "k")
			if got, err := g.get(ctx, "k", returns(5)); got != 5 || err != nil {
				t.Errorf("%s: after that a caller got %d, %v", can, got, err)
			}
		}
	})
}

// Work that panics outside of the function finishes the flight; its end is the first caller's, and others start again.
func TestPanic_Work(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			for how, end := range map[string]func(){"panic": func() { panic("oops") }, "exit": runtime.Goexit} {
				g, c := newGroup(), new(computation)
				g.lead(t, ctx, "k", c)
				w := g.join(t, ctx, "k")
				called := start(func() (int, error) {
					if arrival := c.Lead(ctx, func(context.Context) { end() }); arrival != flight.Done {
						t.Errorf("%s, %s: the first caller arrived %s", can, how, name(arrival))
					}
					lead := flight.NewLead(&c.Flight)
					lead.Rethrow()
					return 0, nil
				})
				w.Wait(ctx)
				if wantArrival(t, how, w, flight.Done); w.IsForCaller() {
					t.Errorf("%s, %s: the outcome is for who has joined", can, how)
				}
				<-called.done
				if called.exited != (how == "exit") || (called.panic != nil) != (how == "panic") {
					t.Errorf("%s, %s: the first caller exited: %v, panicked with %v", can, how, called.exited, called.panic)
				}
			}
		}
	})
}

// A caller who has the result early panics as well, and so does one who waited for the store.
func TestPanic_Early(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), &computation{Hands: true, Later: true}
		g.lead(t, t.Context(), "k", c)
		early := g.join(t, t.Context(), "k")
		var lead flight.Wait
		<-startLead(t.Context(), c, &lead, func(context.Context) int { panic("oops") }).done
		early.Wait(t.Context())
		wantArrival(t, "the first", &lead, flight.Early)
		wantArrival(t, "who joined", early, flight.Early)
		panics := func(who string, w *flight.Wait) {
			t.Helper()
			rethrown := start(func() (int, error) { w.Rethrow(); return 0, nil })
			if <-rethrown.done; rethrown.panic == nil {
				t.Errorf("%s doesn't panic", who)
			}
		}
		panics("the first", &lead)
		panics("who joined", early)
		c.Finish()
		early.UntilStored(t.Context())
		panics("who waited until it was stored", early)
	})
}

// The zero Ending is that of a function that has returned.
func TestEnding(t *testing.T) {
	flight.Ending{}.Rethrow()
	var e flight.Ending
	e.Catch("oops")
	if e.Exited || e.Panic == nil || e.Panic.Value != "oops" || len(e.Panic.Stack) == 0 {
		t.Errorf("after a panic: %+v", e)
	}
	again := flight.Ending{}
	if again.Catch(e.Panic); again.Panic != e.Panic {
		t.Errorf("a PanicError was wrapped: %+v", again)
	}
	for _, value := range []error{http.ErrAbortHandler, errors.New("another"), fmt.Errorf("%w", http.ErrAbortHandler)} {
		var e flight.Ending
		e.Catch(value)
		rethrown := start(func() (int, error) { e.Rethrow(); return 0, nil })
		<-rethrown.done
		if want := value == http.ErrAbortHandler; (rethrown.panic == value) != want || rethrown.panic == nil {
			t.Errorf("%q: panics with %T", value, rethrown.panic)
		}
	}
	var exited flight.Ending
	if exited.Catch(nil); !exited.Exited || exited.Panic != nil {
		t.Errorf("after Goexit: %+v", exited)
	}
}

// Endings keep the first of several functions' that haven't returned.
func TestEndings(t *testing.T) {
	var none flight.Endings
	none.Catch(func() {})
	if how := none.First(); how != (flight.Ending{}) {
		t.Errorf("all have returned, but First is %+v", how)
	}
	var ends flight.Endings
	ends.Catch(func() { panic(1) })
	c := start(func() (int, error) { ends.Catch(runtime.Goexit); return 0, nil })
	if <-c.done; !c.exited {
		t.Error("Catch has returned after Goexit")
	}
	ends.Catch(func() { panic(2) })
	ends.Catch(func() {})
	if how := ends.First(); how.Exited || how.Panic == nil || how.Panic.Value != 1 {
		t.Errorf("First is %+v", how)
	}
	var many flight.Endings
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { many.Catch(func() { panic(fmt.Sprint(i)) }) })
	}
	if all.Wait(); many.First().Panic == nil {
		t.Error("100 have panicked, but First has no panic")
	}
}
