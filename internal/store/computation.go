package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// A computation is what a flight of a Store carries out: it gets the key's lease, or waits for another process's value,
// runs the function, and stores.
type computation struct {
	flight.Flight
	store *Store
	key   *Key
	task  *Task
	late  *atomic.Bool // of one of several: the engine has not answered one of them in time; nil: it is alone

	lease    *lease // nil: it does without; written before the function runs
	refusals int    // of that lease so far

	holder entry.Token // of the last lease of others that was found

	// What the function has returned, or what was found instead. Written before it is handed out, read after.
	result  Result
	payload entry.Payload // result.Value encoded, where callers or the engine need it

	unencodable bool  // it can't be encoded
	elsewhere   bool  // it is another process's
	fault       error // why the function ran without the store, where that is known; as result
	cut         bool  // the context had ended before the function returned
	changed     bool  // the arguments are no longer those of the key

	// What the store has said. Written before the flight finishes, read after.
	stored   bool
	unasked  bool    // it could not be asked: callers who start again don't ask it either
	replaced *stored // what somebody has set meanwhile, which is the result then
}

// A stored is a value that was set meanwhile.
type stored struct {
	value   any
	payload entry.Payload
}

// computationFor returns a computation that has not started.
func (c *Store) computationFor(key *Key, task *Task, late *atomic.Bool) *computation {
	m := &computation{store: c, key: key, task: task, late: late}
	m.Computation, m.Groups, m.Attached = m, key.groups, task.Attached
	if task.Watch.Watcher != nil {
		m.Watch = &task.Watch
	}
	return m
}

// of returns the computation that a flight carries out.
func of(f *flight.Flight) *computation { return f.Computation.(*computation) }

// Prepare makes what callers who have joined need.
func (m *computation) Prepare() {
	if m.payload.Data == nil && m.needsCopies() {
		m.encode()
	}
}

// Abandon gives the lease up of a function that hangs.
func (m *computation) Abandon() {
	if m.lease != nil {
		m.lease.abandon()
	}
}

// Linger returns how long the function goes on when the last caller's context has ended with err.
func (m *computation) Linger(err error) time.Duration {
	switch {
	case m.task.Linger != DefaultLinger:
		return max(m.task.Linger, 0)
	case errors.Is(err, context.DeadlineExceeded):
		return m.store.Lease
	default:
		return 0
	}
}

// Patience returns how long a caller waits before it asks itself whether it still should: soon while there is time for
// the function, which gets less.
func (m *computation) Patience(left time.Duration, again bool) time.Duration {
	switch {
	case !again:
		return m.task.spare(left)
	case !m.task.fits(left):
		return m.store.OperationTimeout
	default:
		return max(m.task.spare(left), (left-m.task.takes())/2)
	}
}

// Tires reports whether a caller whose patience is at its end goes on without the store.
func (m *computation) Tires(deadline time.Time) bool { return m.store.tires(deadline, m.task) }

// failed reports whether the function has returned no result. An error that counts as one doesn't where the context had
// ended: that may be why it was returned.
func (m *computation) failed() bool {
	return m.result.Err != nil && (m.result.Error == nil || m.cut) || m.Ending != flight.Ending{}
}

// isPrivate reports whether the outcome is for nobody who has joined: what it is may be so since its context had ended,
// which is nothing to a caller who has time, or it is for other arguments.
func (m *computation) isPrivate() bool {
	return m.changed || m.cut && (m.failed() || m.task.DropIfEnded)
}

// why returns an error that says why there is no result to be stored.
func (m *computation) why() error {
	switch {
	case m.result.Err != nil:
		return m.result.Err
	case m.Panic != nil:
		return m.Panic
	case m.Exited:
		return errors.New("the function ended its goroutine")
	case m.changed:
		return errors.New("its arguments were changed while the function ran, by it or by a caller who had left")
	default:
		return errors.New("its context had ended before it returned, and it has no error to say whether the result is one")
	}
}

// needsCopies reports whether each of those who have the result has to have a copy of its own.
func (m *computation) needsCopies() bool {
	return m.result.Value != nil && !m.task.shared && !m.task.typ.Shareable()
}

// encode fills in the payload. The callers that don't get a copy compute for
// themselves, so that a failure is logged and goes no further.
func (m *computation) encode() bool {
	if m.unencodable {
		return false
	}
	var err error
	if m.unencodable = m.task.skipsEncoding(time.Since(epoch)); m.unencodable {
		m.task.Stats.Unstorable.Add(1)
		return false
	}
	if m.payload, err = entry.Encode([]byte{}, m.task.typ, m.result.Value); err == nil {
		return true
	}
	m.unencodable = true
	if codec.IsCostly(err) {
		m.task.costly.Store(int64(time.Since(epoch)))
		err = fmt.Errorf("%w; that took so long that none is encoded for %s", err, costlyPause)
	}
	m.store.refusal(m.task, "encode a result of ", err)
	return false
}

// outcome returns the result for the first caller; early says that it is not stored yet.
func (m *computation) outcome(early bool) Result {
	r := m.result
	if !early && m.replaced != nil {
		r.Value = m.replaced.value
	}
	return r
}

// share returns the result that a caller who has joined with that task may have. ok is false when it is of another
// function, under the same name, or when there is no way to copy it.
func (m *computation) share(task *Task, early bool) (r Result, ok bool) {
	r = m.outcome(early)
	if m.task.typ.Type() != task.typ.Type() || r.Negative && !task.Many || r.Error != nil && !task.Errors.Knows(r.Error) {
		return Result{}, false
	}
	if !m.needsCopies() {
		return r, true
	}
	payload := m.payload
	if !early && m.replaced != nil {
		payload = m.replaced.payload
	}
	if payload.Data == nil {
		return Result{}, false
	}
	var err error
	if r.Value, err = entry.Decode(payload, m.task.typ); err != nil {
		m.store.valueFault(m.task, "copy a result of ", err)
		return Result{}, false
	}
	return r, true
}

// makes reports whether rekey, which is the user's code, makes that key. It doesn't panic.
func (c *Store) makes(rekey Rekey, key *Key) (same bool) {
	var ends flight.Endings
	ends.Catch(func() {
		text, err := rekey(c.AppendPrefix(nil), c.secrets)
		if err == nil {
			made := c.KeyOf(string(text), nil)
			same = made.isSame(key)
		}
	})
	return same
}

// step returns a context for one step of what the computation does with the store, under ctx. done ends it, and is
// told how it has ended. After a step of one of several that took too long, those of the others take no time.
func (m *computation) step(ctx context.Context) (step context.Context, done func(error)) {
	return m.bounded(ctx, m.unlessLate(m.store.OperationTimeout), false)
}

// owedStep is step for what has to be done whatever has taken too long before: it has its own time, also where it is one
// of several.
func (m *computation) owedStep(ctx context.Context) (step context.Context, done func(error)) {
	return m.bounded(ctx, m.store.OperationTimeout, false)
}

// leaseStep is step for taking the lease, which ends when the flight is left, also where it is one of several.
func (m *computation) leaseStep(ctx context.Context) (step context.Context, done func(error)) {
	return m.bounded(ctx, m.unlessLate(m.store.OperationTimeout), m.late != nil)
}

// lookupStep is step for no more than a lookup, which a timed engine bounds itself.
func (m *computation) lookupStep(ctx context.Context) (step context.Context, done func(error)) {
	if m.store.timed {
		return m.bounded(ctx, m.unlessLate(unbounded), false)
	}
	return m.step(ctx)
}

// unlessLate returns how long a step takes at most that has so long, unless one of several took too long before.
func (m *computation) unlessLate(most time.Duration) time.Duration {
	if m.late != nil && m.late.Load() {
		return 0
	}
	return most
}

// unbounded is for a step that somebody else bounds.
const unbounded = time.Duration(math.MaxInt64)

// bounded returns a context for a step of at most that long. interruptible says that it ends when the flight is left,
// which ctx doesn't show where it is that of several.
func (m *computation) bounded(ctx context.Context, most time.Duration, interruptible bool) (step context.Context, done func(error)) {
	c := m.store
	ctx = flight.Steps(ctx)
	if !c.flights.Remote {
		return ctx, func(error) {}
	}
	answered := m.Asks()
	step, cancel := ctx, context.CancelFunc(func() {})
	if most < unbounded {
		step, cancel = context.WithTimeout(ctx, most)
	}
	uninterruptible := func() {}
	if interruptible {
		uninterruptible = m.Interruptible(cancel)
	}
	return step, func(err error) {
		uninterruptible()
		c.answers(err)
		if m.late != nil && isTimeout(err) && ctx.Err() == nil {
			m.late.Store(true)
		}
		cancel()
		answered()
	}
}

// isTimeout reports whether err says that the store has not answered in time.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
