package decorators

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cacheutils/cacheutils/internal/decorated"
	"github.com/cacheutils/cacheutils/internal/funcname"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A plan is what Cached finds out about a function once, so that a call only follows it.
type plan struct {
	fn      reflect.Value
	typ     reflect.Type // of fn; of a CachedMany what it would be for one key
	name    string       // the function's name in keys
	label   string       // what messages call it
	backend *backend
	task    *store.Task

	// The key.
	prefix       string // what stands before the arguments
	contextIndex int    // of the first context.Context among the parameters, or -1
	params       []param
	fields       reflect.Type // a struct of the parameters after the context, for typed calls
	inPlace      bool         // the key of a typed call keeps no pointer to its arguments
	kwargsIndex  int          // of a cachekey.Kwargs that is the last parameter, or -1
	kwargs       *keyenc.Encoder
	keyOf        reflect.Value // invalid: the parameters make the key
	keyParams    []param       // of what keyOf returns
	hashed       bool
	groups       []string
	groupsOf     reflect.Value // invalid: there are only groups
	site         atomic.Pointer[site]
	copied       []copiedParam
	changes      bool // an argument that counts in the key can be changed by its caller, and not copied
	copies       bool // one can be changed
	recalls      bool // equal bytes of the arguments make equal keys
	recent       atomic.Pointer[recent]

	// The results.
	numOut        int          // how many there are
	values        int          // how many there are, the trailing error left out
	errorType     reflect.Type // of the trailing error; nil if there is none
	noError       reflect.Value
	carriesErrors bool // any error can be returned as the trailing one
	boxType       reflect.Type
	nilIsNone     bool // a nil is not to be stored
	unless        reflect.Value
	timeoutOf     reflect.Value
	timeout       time.Duration
	hasTimeout    bool
	jitter        float64
	absent        time.Duration // how long it is remembered that there is nothing for a key
}

// newPlan panics when fn can't be decorated with these options. place is where that is asked.
func newPlan(fn reflect.Value, place string, opts []Option) *plan {
	if !fn.IsValid() {
		return newPlanAs(fn, nil, place, opts)
	}
	return newPlanAs(fn, fn.Type(), place, opts)
}

// newPlanAs is newPlan for a function that is cached as if its type were typ.
func newPlanAs(fn reflect.Value, typ reflect.Type, place string, opts []Option) *plan {
	if fn.Kind() != reflect.Func || fn.IsNil() {
		what := "nil"
		if fn.IsValid() {
			what = "a " + fn.Type().String()
		}
		if fn.Kind() == reflect.Func {
			what = "a nil " + fn.Type().String()
		}
		panicf("Cached at %s takes a function, got %s", place, what)
	}
	o := options{backend: "default"}
	for _, opt := range opts {
		opt(&o)
	}
	p := &plan{fn: fn, typ: typ, hashed: o.hashed, contextIndex: -1, kwargsIndex: -1}
	receiver := p.planName(&o, place)
	p.prefix = "[cached]" + p.name + "("
	p.planResults(&o)
	p.planParams(&o, receiver)
	p.planKeyOf(&o)
	p.planGroups(&o)
	p.planRecent()
	p.planKeep(&o)
	if o.backend == "" {
		panicf("%s: Backend has an empty name", p.label)
	}
	p.backend = &backend{name: o.backend}
	p.planType(&o)
	remove := decorated.Add(decorated.Function{
		Name: p.name, Place: place, Backend: o.backend,
		Type: p.boxType, Shared: o.shared, Many: p.typ != fn.Type(), Value: identity(fn),
	})
	runtime.AddCleanup(p, func(remove func()) { remove() }, remove)
	return p
}

// planName finds the function's name and whether its first parameter is a receiver.
func (p *plan) planName(o *options, place string) (receiver bool) {
	described, err := funcname.Describe(p.fn.Interface())
	p.name, p.label = described.Name, described.Name
	if o.hasKey {
		p.name = legal(o.key)
		if err != nil {
			p.label = o.key
		}
		if o.key == "" {
			panicf("Cached at %s: Key has an empty name", place)
		}
		return err == nil && described.Receiver
	}
	if err != nil {
		panicf("Cached at %s: the function has no name of its own: %v; give it one with Key", place, err)
	}
	return described.Receiver
}

// legal returns name with escapes for what can't be in a key, so that the rest of a key with
// this name stays readable.
func legal(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == utf8.RuneError {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// planType looks at how results are stored.
func (p *plan) planType(o *options) {
	p.task = store.NewTask(p.name, p.boxType, o.shared)
	if o.hasStale {
		p.task.Stale = max(o.stale, 0)
	}
	if o.hasLinger {
		p.task.Linger = max(o.linger, 0)
	}
	p.task.Doubted = p.errorType == nil && p.contextIndex >= 0
	p.absent = max(o.absent, 0)
	if o.hasAbsent && p.typ == p.fn.Type() {
		panicf("%s: Absent is for CachedMany: a function of one key says that there is nothing in its result", p.label)
	}
	err := p.task.Err()
	// Where the backend is known already, it has to be one that can keep the results.
	if cache, unknown := p.backend.store(); err == nil && unknown == nil {
		err = cache.Holds(p.task)
	}
	if err != nil {
		panicf("%s: its results (%s) can't be cached: %v; return something that can be encoded, "+
			"or say Shared() and use a backend in this process's memory", p.label, typeList(p.typ.Out, p.values), err)
	}
}

// identity tells func values apart: it is the address of what a func value points at, as it is now.
func identity(fn reflect.Value) uintptr {
	p := reflect.New(fn.Type())
	p.Elem().Set(fn)
	return *(*uintptr)(p.UnsafePointer())
}

func panicf(format string, args ...any) {
	panic("decorators: " + fmt.Sprintf(format, args...))
}
