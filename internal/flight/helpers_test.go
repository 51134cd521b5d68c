package flight_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// lease is after which a function hangs in the tests, and patience how long their callers wait for the store.
const (
	lease    = 10 * time.Second
	patience = 50 * time.Millisecond
)

// Whatever the tests do, in the end no flight counts as waiting or computing.
func TestMain(m *testing.M) {
	code := m.Run()
	if waiting, computing := flight.Leftovers(); waiting != 0 || computing != 0 {
		fmt.Printf("FAIL: %d flights count as waiting, and %d as computing\n", waiting, computing)
		code = 1
	}
	os.Exit(code)
}

// A computation is what the tests' flights carry out. Its exported fields are set before it starts.
type computation struct {
	flight.Flight
	LingerFor time.Duration // after the last caller's context has ended, whatever it ended with
	Leaseless bool          // its result isn't stored
	Tireless  bool          // no caller goes on without the store
	Discarded bool          // the outcome is for everybody
	Undoubted bool          // the outcome is for everybody, though the context has ended
	Stored    func() uint64 // returns the tick until which the outcome was valid; nil: until the function began
	Hands     bool          // the result is handed out before Settle
	Later     bool          // and the computation finished by others
	GivesUp   func()        // stands for what is given up of a function that hangs
	Settle    func()        // stands for what is done with the store after the function

	ran       atomic.Int32 // how often the function was run
	prepared  atomic.Int32
	abandoned atomic.Int32
	result    int
	led       bool  // the first caller waited until the function had returned
	context   error // of the function's context when it had returned
}

func (c *computation) Prepare() { c.prepared.Add(1) }
func (c *computation) Abandon() {
	if c.GivesUp != nil {
		c.GivesUp()
	}
	c.abandoned.Add(1)
}
func (c *computation) Linger(error) time.Duration                 { return c.LingerFor }
func (c *computation) Tires(time.Time) bool                       { return !c.Tireless }
func (c *computation) Patience(time.Duration, bool) time.Duration { return patience }

// of returns what the flight carries out.
func of(f *flight.Flight) *computation { return f.Computation.(*computation) }

// maker returns what a Start needs to make c's flight.
func (c *computation) maker(groups ...string) func() *flight.Flight {
	return func() *flight.Flight {
		c.Computation, c.Groups = c, groups
		return &c.Flight
	}
}

// compute is the work of a flight whose function is function: it takes no lease, and stores nothing.
func (c *computation) compute(ctx context.Context, function func(context.Context) int) {
	if !c.Begin(ctx, c.Leaseless) {
		return
	}
	c.runs(ctx, function)
}

// runs runs the function of a computation that has begun.
func (c *computation) runs(ctx context.Context, function func(context.Context) int) {
	c.ran.Add(1)
	done := false
	defer func() {
		if !done {
			c.Catch(recover())
		}
		c.returned(ctx.Err())
	}()
	c.result = function(ctx)
	done = true
}

// returned is for when the function has returned, whose context has ended with err, if it has.
func (c *computation) returned(err error) {
	c.context = err
	c.led = c.Return()
	switch c.Valid = c.Began(); {
	case c.Undoubted:
		c.Valid = flight.Always
	case c.context != nil:
		c.Valid = 0
	case c.Discarded:
		c.Valid = flight.Always
	case c.Stored != nil:
		c.Valid = c.Stored()
	}
	if c.Hands {
		c.HandOut(c.Later)
	}
	if c.Settle != nil && !c.Later {
		c.Settle()
	}
}

// A group is a flight.Group with what its callers need.
type group struct {
	flight.Group
	idle   atomic.Int32  // calls of Idle
	stored func() uint64 // of the computations of get
}

func newGroup() *group {
	g := &group{Group: flight.Group{Lease: lease}}
	g.Idle = func() { g.idle.Add(1) }
	return g
}

// remote returns a group whose store takes its time.
func remote() *group {
	g := newGroup()
	g.Remote = true
	return g
}

// lead starts a flight for key, and fails the test if one is under way.
func (g *group) lead(t *testing.T, ctx context.Context, key string, c *computation, groups ...string) {
	t.Helper()
	if f, leads := g.Join(ctx, flight.Start{Key: key, Tick: g.Now()}, c.maker(groups...)); !leads || f != &c.Flight {
		t.Fatalf("%s: it joined %p, leads %v; it should start a flight", key, f, leads)
	}
}

// join joins a flight for key, and fails the test if none is under way. The caller starts now.
func (g *group) join(t *testing.T, ctx context.Context, key string, groups ...string) *flight.Wait {
	t.Helper()
	started := g.Now()
	f, leads := g.Join(ctx, flight.Start{Key: key, Tick: started}, new(computation).maker())
	if f == nil || leads {
		t.Fatalf("%s: joined %p, leads %v; it should join a flight", key, f, leads)
	}
	w := flight.NewWait(f, started, groups)
	return &w
}

// nobody fails the test if there is a flight to join for key.
func (g *group) nobody(t *testing.T, key string) {
	t.Helper()
	c := new(computation)
	if f := g.Group.Refresh(t.Context(), key, flight.Check{}, c.maker()); f == nil {
		t.Errorf("%s: there is a flight to join", key)
	} else {
		f.Finish()
	}
}

var (
	errGone   = errors.New("the caller has gone")
	errClosed = errors.New("no flight may start")
)

// get returns what compute returns for key, as a cache without a store would. It is what the package is for: join, wait,
// start again where the outcome is not for the caller.
func (g *group) get(ctx context.Context, key string, compute func(context.Context) int) (int, error) {
	started := g.Now()
	for last := (*flight.Flight)(nil); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		f, leads := g.Join(ctx, flight.Start{Key: key, Tick: started, After: last}, (&computation{Stored: g.stored}).maker())
		if f == nil {
			return 0, errClosed
		}
		last = f
		w := flight.NewWait(f, started, nil)
		if leads {
			w = flight.NewLead(f)
			w.Arrival = f.Lead(ctx, func(ctx context.Context) { of(f).compute(ctx, compute) })
		} else if err := w.Wait(ctx); err != nil {
			return 0, err
		}
		switch {
		case w.Arrival == flight.Left:
			return 0, ctx.Err()
		case w.Arrival == flight.Done && (leads || w.IsForCaller()):
			w.Rethrow()
			return of(f).result, nil
		}
	}
}

// bubble runs a test of that name in a bubble of testing/synctest.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// A call is what a function called by start has come to.
type call struct {
	done   chan struct{}
	result int
	err    error
	panic  any
	exited bool
}

// start calls f on a goroutine of its own.
func start(f func() (int, error)) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		returned := false
		defer func() {
			c.panic = recover()
			c.exited = !returned && c.panic == nil
			close(c.done)
		}()
		c.result, c.err = f()
		returned = true
	}()
	return c
}

// await starts w.Wait, and returns what it comes to.
func await(ctx context.Context, w *flight.Wait) *call {
	return start(func() (int, error) { return 0, w.Wait(ctx) })
}

// startLead starts c.Lead with that function.
func startLead(ctx context.Context, c *computation, w *flight.Wait, function func(context.Context) int) *call {
	*w = flight.NewLead(&c.Flight)
	return start(func() (int, error) {
		w.Arrival = c.Lead(ctx, func(ctx context.Context) { c.compute(ctx, function) })
		return 0, nil
	})
}

// over reports whether the call has ended, once all goroutines of the bubble are waiting.
func (c *call) over() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// returns returns a function that returns v at once.
func returns(v int) func(context.Context) int { return func(context.Context) int { return v } }

// until returns a function that returns v when gate is closed, whatever becomes of its context.
func until(gate <-chan struct{}, v int) func(context.Context) int {
	return func(context.Context) int {
		<-gate
		return v
	}
}

// obedient is a function that returns when its context has ended.
func obedient(ctx context.Context) int {
	<-ctx.Done()
	return -1
}

// takes returns a function that returns v after d, or earlier if its context ends.
func takes(d time.Duration, v int) func(context.Context) int {
	return func(ctx context.Context) int {
		select {
		case <-time.After(d):
			return v
		case <-ctx.Done():
			return -1
		}
	}
}

func wantArrival(t *testing.T, who string, w *flight.Wait, want flight.Arrival) {
	t.Helper()
	if w.Arrival != want {
		t.Errorf("%s arrived %s, want %s", who, name(w.Arrival), name(want))
	}
}

func name(a flight.Arrival) string {
	switch a {
	case flight.Left:
		return "Left"
	case flight.Done:
		return "Done"
	case flight.Early:
		return "Early"
	case flight.Impatient:
		return "Impatient"
	case flight.Recursion:
		return "Circle"
	}
	return fmt.Sprintf("Arrival(%d)", a)
}

// isRecursion reports whether err says that a computation waits for itself.
func isRecursion(err error) bool { return errors.Is(err, cacheutils.ErrRecursion) }
