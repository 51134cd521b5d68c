package backends

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils"
)

// Flights keep the computations of a process to one per key, and its writes in order.
//
// A caller that misses joins the flight of its key or, if there is none, starts one. A
// flight computes, stores its result while it holds the key's write turn, is taken off the
// table, and lands: all its callers get the outcome. It leaves the table earlier in one
// case only: someone else writes or deletes the key. The flight is then void: nobody joins
// it any more and its result is not stored, but those who had joined still get it.
//
// Whoever writes a key (a flight with its result, Set, Delete) holds the key's turn while
// the engine works. So a flight that is not void when it takes the turn has stored its
// result before a Delete that comes meanwhile reaches the engine, and one that is void
// never stores. A flight whose callers have all left has its context cancelled; it stays
// on the table, so that the next caller starts anew only once it has ended.
type flights struct {
	mu      sync.Mutex
	keys    map[string]*keyState
	retired bool          // the Cache was replaced: nothing is joined or stored any more
	ended   atomic.Uint64 // flights that have stored something, see Cache.Fetch
}

// A keyState is there as long as a key has a flight or a writer.
type keyState struct {
	flight *flight       // what a caller that misses joins; nil if there is none
	turn   chan struct{} // closed when the writer at work is done; nil if there is none
}

// A flight is one computation of one key's value.
type flight struct {
	key    Key
	task   *Task
	cancel context.CancelFunc // ends the computation's context
	landed chan struct{}      // closed when outcome is complete

	// Guarded by flights.mu.
	callers   int  // who still wait for the outcome
	void      bool // its key was written or deleted since it started
	abandoned bool // there was a moment when nobody waited; its result counts for nobody

	outcome // written before landed is closed, read after
}

// An outcome is how a computation ended.
type outcome struct {
	result  Result
	payload []byte // result.Value encoded, where callers or the engine need it
	panic   *cacheutils.PanicError
	exited  bool // the computation called runtime.Goexit
}

// join returns the flight under way for key, or a new one that the caller has to run.
// With force it is always a new one, and the one under way is void.
func (f *flights) join(key Key, task *Task, force bool) (fl *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.retired {
		return &flight{key: key, task: task, callers: 1, landed: make(chan struct{}), void: true}, true
	}
	st := f.state(key)
	if st.flight != nil && !force {
		st.flight.callers++
		return st.flight, false
	}
	if st.flight != nil {
		st.flight.void = true
	}
	st.flight = &flight{key: key, task: task, callers: 1, landed: make(chan struct{})}
	return st.flight, true
}

func (f *flights) state(key Key) *keyState {
	st := f.keys[key.stored]
	if st == nil {
		if f.keys == nil {
			f.keys = make(map[string]*keyState)
		}
		st = new(keyState)
		f.keys[key.stored] = st
	}
	return st
}

// drop forgets st when nothing is left in it.
func (f *flights) drop(key Key, st *keyState) {
	if st.flight == nil && st.turn == nil {
		delete(f.keys, key.stored)
	}
}

// leave takes a caller off the flight. When it was the last, the computation is told to end.
func (f *flights) leave(fl *flight) {
	f.mu.Lock()
	fl.callers--
	last := fl.callers == 0
	if last {
		fl.abandoned = true
	}
	f.mu.Unlock()
	if last && fl.cancel != nil {
		fl.cancel()
	}
}

// write gives the caller the turn to write key, and makes a flight under way void. It waits
// for the writer at work, if there is one, or for the end of ctx. The caller calls done
// when it has written.
func (f *flights) write(ctx context.Context, key Key) (done func(), err error) {
	return f.turn(ctx, key, true)
}

// writeBeside is write for who leaves a flight under way alone.
func (f *flights) writeBeside(ctx context.Context, key Key) (done func(), err error) {
	return f.turn(ctx, key, false)
}

func (f *flights) turn(ctx context.Context, key Key, void bool) (done func(), err error) {
	f.mu.Lock()
	st := f.state(key)
	for {
		if void && st.flight != nil {
			st.flight.void = true
			st.flight = nil
		}
		if st.turn == nil {
			break
		}
		turn := st.turn
		f.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		f.mu.Lock()
		st = f.state(key)
	}
	done = f.takeTurn(key, st)
	f.mu.Unlock()
	return done, nil
}

// takeTurn is called with mu held and no writer at work.
func (f *flights) takeTurn(key Key, st *keyState) (done func()) {
	turn := make(chan struct{})
	st.turn = turn
	return func() {
		f.mu.Lock()
		st.turn = nil
		f.drop(key, st)
		f.mu.Unlock()
		close(turn)
	}
}

// writeResult gives a flight the turn to store its result. It returns nil when the flight
// is void or abandoned, which may become so while it waits for another writer.
func (f *flights) writeResult(fl *flight) (done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if fl.void || fl.abandoned {
			return nil
		}
		st := f.state(fl.key)
		if st.turn == nil {
			return f.takeTurn(fl.key, st)
		}
		turn := st.turn
		f.mu.Unlock()
		<-turn // bounded by the engine's own timeout
		f.mu.Lock()
	}
}

// voidAll makes every flight void and returns once no write is in progress.
func (f *flights) voidAll(ctx context.Context) error {
	f.mu.Lock()
	var turns []chan struct{}
	for key, st := range f.keys {
		if st.flight != nil {
			st.flight.void = true
			st.flight = nil
		}
		if st.turn != nil {
			turns = append(turns, st.turn)
		} else {
			delete(f.keys, key)
		}
	}
	f.mu.Unlock()
	for _, turn := range turns {
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// retire is for a Cache that Configure replaces. Calls that still use it get results, but
// leave nothing in a store that will be closed, or that the new Cache answers for. It returns
// once no write is in progress.
func (f *flights) retire(ctx context.Context) error {
	f.mu.Lock()
	f.retired = true
	f.mu.Unlock()
	return f.voidAll(ctx)
}

// takeOff takes the flight off the table: from here on nobody joins it. It returns how many
// callers wait for the outcome.
func (f *flights) takeOff(fl *flight) (callers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st := f.keys[fl.key.stored]; st != nil && st.flight == fl {
		st.flight = nil
		f.drop(fl.key, st)
	}
	return fl.callers
}

func (f *flights) isAbandoned(fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fl.abandoned
}

// run computes and lands the flight. What happens between the two is land's. It never panics
// and doesn't return when the computation ended its goroutine, but the flight lands.
func (fl *flight) run(ctx context.Context, compute func(context.Context) Result, land func()) {
	returned := false
	end := running.start(fl)
	defer func() {
		end()
		if !returned {
			if v := recover(); v != nil {
				fl.panic = asPanicError(v)
			} else {
				fl.exited = true
			}
		}
		land()
		close(fl.landed)
	}()
	fl.result = compute(context.WithValue(ctx, flightKey{}, fl))
	returned = true
}

// asPanicError keeps a PanicError as it is: it comes from a cached function that this one
// called, with the stack of where it really happened.
func asPanicError(v any) *cacheutils.PanicError {
	if p, ok := v.(*cacheutils.PanicError); ok {
		return p
	}
	return &cacheutils.PanicError{Value: v, Stack: debug.Stack()}
}

// rethrow ends the calling goroutine the way that the computation ended its own.
func (o *outcome) rethrow() {
	if o.panic != nil {
		panic(o.panic)
	}
	if o.exited {
		runtime.Goexit()
	}
}
