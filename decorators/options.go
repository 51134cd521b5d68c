package decorators

import (
	"reflect"
	"time"
)

// An Option says how the results of one function are cached. One that doesn't fit the
// function panics at Cached, with a message that tells what to change.
type Option func(*options)

type options struct {
	key          string
	hasKey       bool
	backend      string
	timeout      time.Duration
	hasTimeout   bool
	timeoutOf    any
	jitter       float64
	hashed       bool
	attrs        []attrs
	keyOf        any
	ignored      map[reflect.Type]bool
	withReceiver bool
	cacheNil     bool
	unless       any
	shared       bool
	groups       []string
	groupsOf     any
	absent       time.Duration
	hasAbsent    bool
	stale        time.Duration
	hasStale     bool
	linger       time.Duration
	hasLinger    bool
}

type attrs struct {
	sample any
	fields []string
}

// Timeout says how long results are kept: cacheutils.Forever never expires, zero or less
// stores nothing, so that only simultaneous calls share a result. Without it that is the
// timeout of the backend.
func Timeout(d time.Duration) Option {
	return func(o *options) { o.timeout, o.hasTimeout = d, true }
}

// TimeoutOf has fn decide for each result how long it is kept. fn takes the results of the
// decorated function, with or without the trailing error, and returns a time.Duration as for
// Timeout.
func TimeoutOf(fn any) Option {
	return func(o *options) { o.timeoutOf = fn }
}

// Jitter makes each timeout shorter by up to that fraction of it, at random, so that entries
// which were stored together don't expire together, those of Absent too. It is from 0 to 1;
// Forever stays.
func Jitter(fraction float64) Option {
	return func(o *options) { o.jitter = fraction }
}

// Backend names the backend to use. Without it that is "default". The name is looked up when
// the function is first called.
func Backend(name string) Option {
	return func(o *options) { o.backend = name }
}

// Key is the function's name in keys, in place of its package, name and line. With it entries
// survive edits above the function, and literals and methods have a name of their own. A
// space or control character in it is shown as \x20 and the like.
func Key(name string) Option {
	return func(o *options) { o.key, o.hasKey = name, true }
}

// Hashed makes each key the sha256 of what it would have been: for arguments that are long
// or not to be read by others.
func Hashed() Option {
	return func(o *options) { o.hashed = true }
}

// ObjectAttrs says which fields of the struct type of sample, or of what it points at, stand
// for a value of that type in keys, wherever one occurs in an argument. A receiver of that
// type then counts in the key.
func ObjectAttrs(sample any, fields ...string) Option {
	return func(o *options) { o.attrs = append(o.attrs, attrs{sample, fields}) }
}

// KeyOf has fn decide what stands for the arguments in the key. It takes the parameters of
// the decorated function, the context too, and returns one value or several, which are
// rendered as arguments; a single cachekey.Tuple is rendered as the arguments it holds.
func KeyOf(fn any) Option {
	return func(o *options) { o.keyOf = fn }
}

// Ignore leaves parameters of type T, a database handle say, out of keys.
func Ignore[T any]() Option {
	return func(o *options) {
		if o.ignored == nil {
			o.ignored = make(map[reflect.Type]bool)
		}
		o.ignored[reflect.TypeFor[T]()] = true
	}
}

// WithReceiver has the receiver of a method expression count in the key like any argument.
// Without it calls on all receivers share their entries; through an interface, those on all
// receivers of one dynamic type.
func WithReceiver() Option {
	return func(o *options) { o.withReceiver = true }
}

// Linger says how long the function goes on when every caller who waited for it has left. What it returns
// then is stored, and is for those who come meanwhile; after that its context ends. Zero or less
// ends it at once. Without Linger it goes on for as long as the backend's lease, 5 seconds, if the last
// caller's deadline had passed, so that callers with little time don't run a slow function again and
// again for nothing, and ends at once if the last caller was cancelled. It ends at once, too, when the
// store could not be reached, since its results could not be stored.
//
// A function that has not returned when its context ended a lease ago is given up: the next caller runs
// it again.
//
// A refresh of results past their timeout has no callers, and goes on until those results may not be
// served any more; then it is as if a caller's deadline had passed.
func Linger(d time.Duration) Option {
	return func(o *options) { o.linger, o.hasLinger = d, true }
}

// CacheNil stores a sole result that is nil, too. Without it a nil pointer, slice, map or
// interface counts as no result: it is returned, but computed anew by the next call.
func CacheNil() Option {
	return func(o *options) { o.cacheNil = true }
}

// Unless has fn decide which results are not stored. It takes the results of the decorated
// function, with or without the trailing error, and returns a bool: true leaves them out.
func Unless(fn any) Option {
	return func(o *options) { o.unless = fn }
}

// Shared says that callers only read results, so that all of them, and a backend in this
// process's memory, may have the very same value. It saves the copies that keep callers
// apart, and lets such a backend keep types that can't be encoded.
func Shared() Option {
	return func(o *options) { o.shared = true }
}

// Group puts results into groups, which cache.InvalidateGroup drops at once, in all processes and
// whatever their number. A name is any text. It costs a hit no round trip: the groups are read
// together with the result. A function that is given a group more computes anew, since what it
// has stored without that would not be invalidated with it.
func Group(names ...string) Option {
	return func(o *options) { o.groups = append(o.groups, names...) }
}

// GroupsOf has fn decide which groups the results for some arguments are in, beside those of
// Group. It takes the parameters of the decorated function, the context too, and returns
// a []string. It runs at every call, and equal arguments have to have equal groups.
func GroupsOf(fn any) Option {
	return func(o *options) { o.groupsOf = fn }
}

// Stale says how long results may be served past their timeout. Callers get the old results at
// once, and the first of them, among all processes, has the function run in the background. It
// goes on when that caller has left, and what it returns is stored. If it fails, or panics, the next
// try waits a second, and twice as long after each further failure, up to 30 seconds. What was
// invalidated is never served. Without Stale that is what the backend says: 30 seconds for the group backend, nothing for
// others, unless they have the option stale. Zero or less switches it off.
func Stale(d time.Duration) Option {
	return func(o *options) { o.stale, o.hasStale = d, true }
}

// Absent is for CachedMany: keys that the function leaves out of its results are remembered as absent
// for that long, so that it isn't asked for them again. Without it, or with zero or less, it is
// asked each time. An Invalidate of the key or of one of its groups ends that as it does for results.
func Absent(d time.Duration) Option {
	return func(o *options) { o.absent, o.hasAbsent = d, true }
}
