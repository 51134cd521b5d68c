package decorators

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/logging"
)

// A function that reads a value of its caller's context, which is not in the key, may give what it made of that to
// other callers. So the context of a computation notes which values it has found (flight.Watch), and when the
// computation ends those are warned of that no key has, once for each function and key: several of one type, as the
// numbers of an iota, may be a request's id and its user. A hit has no part in it.
//
// What the functions of ContextKey and KeyOf look up is in the key: they run once more for that, under a context that
// notes it, when there is a value to ask about. What cached functions within the computation look up of its caller's
// context is looked up by them and by the function: its result depends on it through theirs, also where it is in their
// keys.

// IgnoreContext says that context values under keys of type T, or that are of type T themselves, don't matter to the
// function's result, so that no warning is needed when it reads one: a request id for the log, a connection pool. That is for all
// keys of the type, so T should be none that another value is under that does matter: a string, or the type of an iota. Where T is
// an interface, that is so for all types that implement it: IgnoreContext[any] switches the warning off for the function.
// It may be given several times. Cached panics if the function takes no context.
//
// Values of package context and of well-known tracing and logging packages are never warned of.
func IgnoreContext[T any]() Option {
	return func(o *options) { o.ignoredReads = append(o.ignoredReads, reflect.TypeFor[T]()) }
}

type readOptions struct {
	ignoredReads []reflect.Type
}

// checkReads panics if there is no context to be ignored.
func (p *plan) checkReads() {
	if ignored := p.options.ignoredReads; len(ignored) > 0 && p.contextIndex < 0 {
		panicf("%s: IgnoreContext[%s] is for functions that take a context, and it takes %s; leave it out", p.displayName, ignored[0], p.takes())
	}
	p.reads.ignored = p.options.ignoredReads
}

const (
	maxReadWarnings = 16  // for a function
	maxTypeWarnings = 4   // of keys of one type: a program may make them as it runs
	maxSettledTypes = 256 // of keys that there are no more warnings of
	maxKnownReads   = 64  // keys that are known to be in the key of the cache
	maxPendingReads = 64  // values that have been found by computations that have not ended
)

// reads are the context values that a function's computations have found. Its methods may be called by many goroutines
// at once.
type reads struct {
	ignored []reflect.Type // not changed
	full    atomic.Bool    // there have been so many warnings that there are no more
	asks    atomic.Bool    // pending is not empty

	mu       sync.RWMutex
	warnings int
	settled  map[reflect.Type]settled
	known    map[any]struct{} // keys of values that are in the key of the cache
	pending  []read
}

// A settled is which keys of a type there are no more warnings of: all, or those that there was one of.
type settled struct {
	all  bool
	keys []any
}

// A read is a value that a computation has found.
type read struct {
	by    context.Context // of the computation; nil: it is not known which one that was
	key   any
	value reflect.Type
}

// Found notes that a computation has found value under key.
func (r *reads) Found(by context.Context, key, value any) {
	if key == nil || r.full.Load() || r.isSettled(key) {
		return
	}
	found := read{by, key, reflect.TypeOf(value)}
	isIgnored := r.isIgnored(reflect.TypeOf(key))
	if !isIgnored && r.isIgnored(found.value) { // which is no matter of its key's type
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if isIgnored {
		r.settle(reflect.TypeOf(key), settled{all: true})
		return
	}
	noted := func(other read) bool { return other.by == by && isSame(other.key, key) }
	if len(r.pending) < maxPendingReads && !slices.ContainsFunc(r.pending, noted) {
		r.pending = append(r.pending, found)
		r.asks.Store(true)
	}
}

// settle notes, with the lock, which keys of type t there are to be no more warnings of.
func (r *reads) settle(t reflect.Type, s settled) {
	if r.settled == nil {
		r.settled = make(map[reflect.Type]settled)
	}
	if _, there := r.settled[t]; there || len(r.settled) < maxSettledTypes {
		r.settled[t] = s
	}
}

// has reports whether there are no more warnings of key, which is of the type.
func (s settled) has(key any) bool {
	return s.all || slices.ContainsFunc(s.keys, func(other any) bool { return isSame(other, key) })
}

// isSettled reports whether there are no more warnings of key, or it is known to be in the key of the cache.
func (r *reads) isSettled(key any) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.settled[reflect.TypeOf(key)].has(key) {
		return true
	}
	if len(r.known) == 0 || !isComparable(key) {
		return false
	}
	_, known := r.known[key]
	return known
}

// isIgnored reports whether values of type t, or under keys of it, don't matter to the result.
func (r *reads) isIgnored(t reflect.Type) bool {
	return isObserving(t) || slices.ContainsFunc(r.ignored, func(ignored reflect.Type) bool {
		return t == ignored || ignored.Kind() == reflect.Interface && t.Implements(ignored)
	})
}

// observing are packages, with those in their folders, whose context values say what a program does, and not what it is
// to do: logs, traces and profiles. docs/keys.md gives the reasons.
var observing = []string{
	reflect.TypeFor[steer.Call]().PkgPath(),
	"internal/nettrace",
	"log/slog",
	"net/http/httptrace",
	"runtime/pprof",
	"runtime/trace",
	"cloud.google.com/go/trace",
	"github.com/DataDog/dd-trace-go",
	"github.com/aws/aws-xray-sdk-go",
	"github.com/getsentry/sentry-go",
	"github.com/go-logr/logr",
	"github.com/newrelic/go-agent",
	"github.com/opentracing/opentracing-go",
	"github.com/rs/zerolog",
	"github.com/sirupsen/logrus",
	"github.com/veqryn/slog-context",
	"go.elastic.co/apm",
	"go.opencensus.io/trace",
	"go.opentelemetry.io",
	"go.uber.org/zap",
	"golang.org/x/net/trace",
	"google.golang.org/grpc/stats",
	"gopkg.in/DataDog/dd-trace-go.v1",
}

// isObserving reports whether t, or what it is a pointer to or a slice of, is a type of one of those packages.
func isObserving(t reflect.Type) bool {
	for t.Name() == "" && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	return slices.ContainsFunc(observing, func(path string) bool {
		rest, ok := strings.CutPrefix(t.PkgPath(), path)
		return ok && (rest == "" || rest[0] == '/')
	})
}

// arePending reports whether there are values to be warned of.
func (r *reads) arePending() bool { return r.asks.Load() }

// take returns the values that were found by the computation with that context, or by it is not known which one.
func (r *reads) take(by context.Context) (found []read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := r.pending[:0]
	for _, f := range r.pending {
		if f.by == nil || f.by == by {
			found = append(found, f)
		} else {
			others = append(others, f)
		}
	}
	clear(r.pending[len(others):])
	r.pending = others
	r.asks.Store(len(others) > 0)
	return found
}

// know notes that a value under key is in the key of the cache.
func (r *reads) know(key any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !isComparable(key) || len(r.known) >= maxKnownReads {
		return
	}
	if r.known == nil {
		r.known = make(map[any]struct{})
	}
	r.known[key] = struct{}{}
}

// warns notes that there is a warning of key, and returns which one of its type that is, from 1. It returns 0 if there is to be
// none.
func (r *reads) warns(key any) (nth int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := reflect.TypeOf(key)
	s := r.settled[t]
	if s.has(key) || r.full.Load() {
		return 0
	}
	s.keys = append(slices.Clone(s.keys), key)
	s.all = len(s.keys) >= maxTypeWarnings
	r.settle(t, s)
	r.warnings++
	r.full.Store(r.warnings >= maxReadWarnings)
	return len(s.keys)
}

// warnOfReads is for the end of a computation under ctx, for the arguments of one call or of several. It warns of what
// was found, if no key has it.
func (p *plan) warnOfReads(ctx context.Context, calls ...*arguments) {
	var inKey []any
	found := p.reads.take(ctx)
	if len(found) > 0 && (p.contextKey.IsValid() || p.keyOf.IsValid()) {
		for _, a := range calls {
			inKey = append(inKey, p.lookedUp(a)...)
		}
	}
	for _, f := range found {
		if slices.ContainsFunc(inKey, func(key any) bool { return isSame(key, f.key) }) {
			p.reads.know(f.key)
		} else if nth := p.reads.warns(f.key); nth > 0 {
			lines := p.backend.setFor(ctx).Lines(store.Caller{})
			cause := fmt.Sprintf("context value %d of %s in %s", nth, keyenc.TypeName(reflect.TypeOf(f.key)), p.nameOfAll())
			lines.Log(logging.LevelWarn, cause, logging.Event{Action: logging.ActionNotice, Text: f.warning(p.name)})
		}
	}
}

// warning is what is said of a value that the function of that name reads.
func (f *read) warning(name string) string {
	t := reflect.TypeOf(f.key)
	return fmt.Sprintf("%s reads context value %v, which is in no key: what one caller's value gives is served to others; "+
		"add ContextKey, or IgnoreContext[T] if the result does not depend on it (T is %v, the type of the key%s, or %v, that of the value)",
		name, t, t, keyText(f.key), f.value)
}

// keyText returns what follows "the key" to say which one of its type it is, if that is a number or a text.
func keyText(key any) string {
	const most = 40
	switch v := reflect.ValueOf(key); {
	case v.CanInt():
		return fmt.Sprintf(" %d", v.Int())
	case v.CanUint():
		return fmt.Sprintf(" %d", v.Uint())
	case v.Kind() == reflect.String && v.Len() > most:
		return fmt.Sprintf(" %q...", v.String()[:most])
	case v.Kind() == reflect.String:
		return fmt.Sprintf(" %q", v.String())
	default:
		return ""
	}
}

// lookedUp returns the keys of context values that are looked up to make the key for the arguments.
func (k *keyPlan) lookedUp(a *arguments) []any {
	l := &lookups{Context: orBackground(a.ctx)}
	asked := *a
	if asked.ctx = l; a.values != nil && k.derives {
		asked.values = slices.Clone(a.values)
		asked.values[k.contextIndex] = reflect.ValueOf(&asked.ctx).Elem()
	}
	if k.contextKey.IsValid() {
		l.note(func() { k.contextKey.Call([]reflect.Value{k.contextOf(&asked)}) })
	}
	if k.keyOf.IsValid() {
		l.note(func() { callWith(k.keyOf, k.reflected(&asked)) })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.keys)
}

// lookups are a context that notes which values are looked up.
type lookups struct {
	context.Context
	mu   sync.Mutex
	keys []any
}

// maxLookups is how many lookups are noted.
const maxLookups = 1000

func (l *lookups) Value(key any) any {
	l.mu.Lock()
	if len(l.keys) < maxLookups {
		l.keys = append(l.keys, key)
	}
	l.mu.Unlock()
	return l.Context.Value(key)
}

// note runs f, the user's code, which has returned before for the same arguments: its panic says nothing new.
func (l *lookups) note(f func()) {
	defer func() { _ = recover() }()
	f()
}

// isSame reports whether two keys of context values are one. Those that can't be compared are if their type is.
func isSame(a, b any) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return !isComparable(a) || !isComparable(b) || a == b
}

// isComparable reports whether key can be compared, also where it has parts of interface types.
func isComparable(key any) bool { return reflect.ValueOf(key).Comparable() }
