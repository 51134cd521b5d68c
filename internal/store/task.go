package store

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// A Task is what Fetch needs to know about a cached computation, whatever its key. Make it once,
// with NewTask: it compiles how values are encoded, and counts.
type Task struct {
	Stats Stats

	// Stale is how long a value may be served past its timeout while it is recomputed, or
	// when that fails; negative: not at all; DefaultStale: as the backend says.
	Stale time.Duration

	// Linger is how long a computation may go on when all who waited have left; negative: not at all;
	// DefaultLinger: for the backend's lease where the last one's deadline had passed, else not at all.
	Linger time.Duration

	// DropIfEnded says that a result is not to be stored if its computation's context had ended: that may
	// be why it is what it is, and it has no error to say so.
	DropIfEnded bool

	// Attached says that the function is under its caller's own context, which nobody can make another of. That
	// caller stays until the function has returned, and nothing is recomputed in the background: a value past its
	// timeout is a miss.
	Attached bool

	// Many says that computations are for several keys, and may find that there is nothing for one
	// of them. Without it such a Result is never seen by the task's callers.
	Many bool

	// Watch has who is told of the context values that computations find. The zero Watch has nobody.
	Watch flight.Watch

	// Errors are those that count as results when the function returns them; nil: none does.
	Errors *Errors

	name   string      // for logs and errors
	typ    *codec.Type // of the value
	shared bool        // callers only read values, so all may have the same
	plain  bool        // stored as by Set, and only where nothing is

	isUnsized atomic.Bool // it was said that the memory of values can't be counted

	costly atomic.Int64 // when it took long to find that a value can't be encoded, in nanoseconds since epoch; 0: never
	took   atomic.Int64 // how long the function took the last time, in nanoseconds; 0: that isn't known
	probed atomic.Int64 // when it was run to find that out, in nanoseconds since epoch; 0: never
}

// NewTask returns a task whose computations have values of type t. name is for logs and
// errors. shared says that callers only read the values that Fetch returns: they then all
// get the same one, and an engine that holds live values keeps it as it is.
func NewTask(name string, t reflect.Type, shared bool) *Task {
	return NewTaskOf(name, codec.Of(t), shared)
}

// NewTaskOf is NewTask for values that are encoded as t says.
func NewTaskOf(name string, t *codec.Type, shared bool) *Task {
	task := &Task{Stale: DefaultStale, Linger: DefaultLinger, name: name, typ: t, shared: shared}
	task.Stats.Hits.shard()
	return task
}

// Only has values hold nothing behind interfaces but values of these types, and nil. It is called before the task is used.
func (t *Task) Only(types codec.Types) { t.typ = t.typ.Only(types) }

// Err returns nil if there are engines that can store the task's values. Otherwise the error
// matches cacheutils.ErrUnsupportedValue and names what in the type they can't.
func (t *Task) Err() error {
	if t.shared || t.typ.Shareable() {
		return nil
	}
	return t.typ.Err()
}

const (
	// unknownTakes is what a function counts as taking that has not run in this process yet.
	unknownTakes = 32 * time.Millisecond
	// probeEvery is how often a function is run without the store though it seems to take too long for its caller:
	// it may not take that long any more.
	probeEvery = time.Second
)

// costlyPause is how long no value of a task is encoded after it took long to find that one can't be.
const costlyPause = 30 * time.Second

// skipsEncoding reports whether a value of the task is not to be encoded, since another one has cost too much not long ago.
func (t *Task) skipsEncoding(now time.Duration) bool {
	last := t.costly.Load()
	return last != 0 && now-time.Duration(last) < costlyPause
}

// takes returns how long the function probably takes.
func (t *Task) takes() time.Duration {
	if took := time.Duration(t.took.Load()); took > 0 {
		return took
	}
	return unknownTakes
}

// spare returns for how long a caller who has left to it may wait for the store: half of that, or less,
// so that there is time for the function, and a quarter more.
func (t *Task) spare(left time.Duration) time.Duration {
	return max(min(left/2, left-t.takes()*5/4), flight.LeastPatience)
}

// fits reports whether the function probably ends within left.
func (t *Task) fits(left time.Duration) bool { return left > t.takes() }

// probes reports whether it's time to run the function though it doesn't seem to fit.
func (t *Task) probes(now time.Duration) bool {
	last := t.probed.Load()
	return (last == 0 || now-time.Duration(last) >= probeEvery) && t.probed.CompareAndSwap(last, int64(now))
}

// learns notes how long a run of the function took. Of one whose context had ended it is only known that it
// takes longer.
func (t *Task) learns(took time.Duration, cut bool) {
	if !cut || took > time.Duration(t.took.Load()) {
		t.took.Store(int64(took))
	}
}

// Stats counts what happened to the calls of a function. All fields only grow.
type Stats struct {
	Hits          Counter       // calls answered from the cache, with a fresh value
	Stale         atomic.Uint64 // calls that found a value past its timeout
	Misses        atomic.Uint64 // calls that found nothing there
	Joins         atomic.Uint64 // of those: calls that waited for a computation in this process
	Waits         atomic.Uint64 // lookups of a value that another process computes
	Computations  atomic.Uint64 // runs of the function, forced ones included
	Stores        atomic.Uint64 // results stored
	Refusals      atomic.Uint64 // results not stored, because the key or a group was invalidated meanwhile
	Unstorable    atomic.Uint64 // results not stored, because they can't be encoded or are too large
	Invalidations atomic.Uint64 // entries deleted, and groups of the function invalidated, through its handle
	Errors        atomic.Uint64 // cache faults that were kept from callers
	Bypasses      atomic.Uint64 // calls that were to run the function without the cache
}

// Errors are errors that count as results, by the targets that errors.Is finds in them.
type Errors = entry.Errors

// An Error is what is stored of one.
type Error = entry.Error

// MaxTargets is how many targets there may be.
const MaxTargets = entry.MaxTargets

// NewErrors returns the Errors with these targets, of which no two have one id.
func NewErrors(targets []error) *Errors { return entry.NewErrors(targets) }

// IDOfTarget returns by what a target is known in what is stored.
func IDOfTarget(target error) entry.TargetID { return entry.IDOfTarget(target) }

// A Rekey appends the text of a key to its head; s is the Store's.
type Rekey func(head []byte, s *keyenc.Secrets) ([]byte, error)

// A Result is what a computation came to.
type Result struct {
	// Rekey, if not nil, appends the text of the key as the arguments make it now, which a caller who has left may
	// have changed. A result for another key is nobody's.
	Rekey Rekey

	// Cut says that the function was under another context than the computation's, which had ended.
	Cut bool

	Value    any           // a pointer to a value of the task's type, which nobody else has
	Err      error         // the function's error: Value is passed on, but not stored unless there is Error
	Error    *Error        // what is stored of Err with Value, as the task's Errors say
	Negative bool          // there is nothing for the key: Value is nil, and that may be stored
	Discard  bool          // not to be stored, though there is no error
	Timeout  time.Duration // how long to store it; not positive: not at all; or DefaultTimeout
	Closed   bool          // the Store is closed, and nothing was computed: get the backend again
}

// Absent is the value of a key of which a computation has found that there is nothing.
var Negative any = new(struct{ absent byte })
