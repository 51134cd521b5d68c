package decorators

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/decorated"
	"github.com/cacheutils/cacheutils/logging"
)

// A plan is what Cached finds out about a function once, so that a call only follows it.
type plan struct {
	fn      reflect.Value
	name    string // the function's name in keys
	label   string // what messages call it
	backend *backends.Ref
	task    *backends.Task

	// The key.
	contextIndex int // of the first context.Context among the parameters, or -1
	params       []param
	kwargsIndex  int // of a cachekey.Kwargs that is the last parameter, or -1
	kwargs       *cachekey.Encoder
	keyOf        reflect.Value // invalid: the parameters make the key
	keyParams    []param       // of what keyOf returns
	hashed       bool
	groups       []string
	groupsOf     reflect.Value // invalid: there are only groups

	// The results.
	values        int          // how many there are, the trailing error left out
	errorType     reflect.Type // of the trailing error; nil if there is none
	carriesErrors bool         // any error can be returned as the trailing one
	boxType       reflect.Type
	cacheNil      bool
	unless        reflect.Value
	timeoutOf     reflect.Value
	timeout       time.Duration
	hasTimeout    bool
	jitter        float64
}

// A param is a value that counts in the key.
type param struct {
	index       int
	encoder     *cachekey.Encoder // nil where only the dynamic type counts
	dynamicType bool              // the receiver of a method expression on an interface
	variadic    bool              // a slice whose elements count one by one
}

// newPlan panics when fn can't be decorated with these options. place is where that is asked.
func newPlan(fn reflect.Value, place string, opts []Option) *plan {
	if fn.Kind() != reflect.Func || fn.IsNil() {
		what := "nil"
		if fn.IsValid() {
			what = "a " + fn.Type().String()
		}
		panicf("Cached at %s takes a function, got %s", place, what)
	}
	o := options{backend: "default"}
	for _, opt := range opts {
		opt(&o)
	}
	p := &plan{fn: fn, hashed: o.hashed, contextIndex: -1, kwargsIndex: -1}
	receiver := p.planName(&o, place)
	p.planResults(&o)
	p.planParams(&o, receiver)
	p.planKeyOf(&o)
	p.planGroups(&o)
	if o.backend == "" {
		panicf("%s: Backend has an empty name", p.label)
	}
	p.backend = backends.NewRef(o.backend)
	p.planType(&o)
	remove := decorated.Add(decorated.Function{
		Name: p.name, Place: place, Backend: o.backend,
		Type: p.boxType, Shared: o.shared, Value: identity(fn),
	})
	runtime.AddCleanup(p, func(remove func()) { remove() }, remove)
	return p
}

// planName finds the function's name and whether its first parameter is a receiver.
func (p *plan) planName(o *options, place string) (receiver bool) {
	described, err := cachekey.Describe(p.fn.Interface())
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
	p.task = backends.NewTask(p.name, p.boxType, o.shared)
	if o.hasStale {
		p.task.Stale = max(o.stale, 0)
	}
	err := p.task.Err()
	// Where the backend is known already, it has to be one that can keep the results.
	if cache, unknown := p.backend.Cache(); err == nil && unknown == nil {
		err = cache.Holds(p.task)
	}
	if err != nil {
		panicf("%s: its results (%s) can't be cached: %v; return something that can be encoded, "+
			"or say Shared() and use a backend in this process's memory", p.label, typeList(p.fn.Type().Out, p.values), err)
	}
}

// planParams decides how each parameter counts in the key.
func (p *plan) planParams(o *options, receiver bool) {
	t := p.fn.Type()
	fields := p.attrs(o)
	if o.withReceiver && !receiver {
		panicf("%s: WithReceiver is for method expressions such as City.Offers, whose first parameter is the receiver", p.label)
	}
	ignored := make(map[reflect.Type]bool)
	for i := range t.NumIn() {
		in := t.In(i)
		switch {
		case in == contextType:
			if p.contextIndex < 0 {
				p.contextIndex = i
			}
		case o.ignored[in]:
			ignored[in] = true
		case o.keyOf != nil:
		case i == 0 && receiver && !o.withReceiver && !countsByAttrs(in, fields):
			if in.Kind() == reflect.Interface {
				p.params = append(p.params, param{index: i, dynamicType: true})
			}
		case in == kwargsType && i == t.NumIn()-1 && !t.IsVariadic():
			p.kwargsIndex = i
			p.kwargs = p.encoder(i, reflect.TypeFor[map[string]any](), fields)
		case t.IsVariadic() && i == t.NumIn()-1:
			p.params = append(p.params, param{index: i, encoder: p.encoder(i, in.Elem(), fields), variadic: true})
		default:
			p.params = append(p.params, param{index: i, encoder: p.encoder(i, in, fields)})
		}
	}
	for in := range o.ignored {
		if !ignored[in] {
			panicf("%s: Ignore[%s]: it has no parameter of that type", p.label, in)
		}
	}
}

var (
	contextType = reflect.TypeFor[context.Context]()
	kwargsType  = reflect.TypeFor[cachekey.Kwargs]()
)

func (p *plan) encoder(i int, t reflect.Type, fields cachekey.Attrs) *cachekey.Encoder {
	e, err := cachekey.EncoderOf(t, fields)
	if err != nil {
		panicf("parameter %d of %s has type %s, which can't be in a key: %v; leave it out with Ignore[%s]() or KeyOf",
			i+1, p.label, p.fn.Type().In(i), err, p.fn.Type().In(i))
	}
	return e
}

// attrs collects the ObjectAttrs.
func (p *plan) attrs(o *options) cachekey.Attrs {
	if len(o.attrs) == 0 {
		return nil
	}
	fields := make(cachekey.Attrs)
	for _, a := range o.attrs {
		t := reflect.TypeOf(a.sample)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			panicf("%s: ObjectAttrs takes a sample of a struct type, got %T", p.label, a.sample)
		}
		for _, name := range a.fields {
			if f, ok := t.FieldByName(name); !ok || len(f.Index) != 1 {
				panicf("%s: ObjectAttrs: %s has no field %s of its own", p.label, t, name)
			}
		}
		fields[t] = a.fields
	}
	return fields
}

func countsByAttrs(t reflect.Type, fields cachekey.Attrs) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ok := fields[t]
	return ok
}

// planKeyOf checks the function that makes the key, if there is one.
func (p *plan) planKeyOf(o *options) {
	if o.keyOf == nil {
		return
	}
	v := reflect.ValueOf(o.keyOf)
	if !p.hasParameters(v) || v.Type().NumOut() == 0 {
		panicf("%s: KeyOf takes a func%s that returns what stands for them, got %T", p.label, p.takes(), o.keyOf)
	}
	p.keyOf = v
	fields := p.attrs(o)
	for i := range v.Type().NumOut() {
		out := v.Type().Out(i)
		if out == tupleType && v.Type().NumOut() == 1 {
			e, _ := cachekey.EncoderOf(reflect.TypeFor[any](), fields)
			p.keyParams = []param{{encoder: e, variadic: true}}
			return
		}
		e, err := cachekey.EncoderOf(out, fields)
		if err != nil {
			panicf("%s: KeyOf returns a %s, which can't be in a key: %v", p.label, out, err)
		}
		p.keyParams = append(p.keyParams, param{index: i, encoder: e})
	}
}

// hasParameters tells whether v is a function that can be called with the function's arguments.
func (p *plan) hasParameters(v reflect.Value) bool {
	t := p.fn.Type()
	ok := v.Kind() == reflect.Func && !v.IsNil() &&
		v.Type().NumIn() == t.NumIn() && v.Type().IsVariadic() == t.IsVariadic()
	for i := 0; ok && i < t.NumIn(); i++ {
		ok = t.In(i).AssignableTo(v.Type().In(i))
	}
	return ok
}

// callWith calls fn, which hasParameters, with the function's arguments.
func callWith(fn reflect.Value, args []reflect.Value) []reflect.Value {
	if fn.Type().IsVariadic() {
		return fn.CallSlice(args)
	}
	return fn.Call(args)
}

// planGroups checks the function that says which groups results are in, if there is one.
func (p *plan) planGroups(o *options) {
	p.groups = o.groups
	if o.groupsOf == nil {
		return
	}
	v := reflect.ValueOf(o.groupsOf)
	if !p.hasParameters(v) || v.Type().NumOut() != 1 || v.Type().Out(0) != reflect.TypeFor[[]string]() {
		panicf("%s: GroupsOf takes a func%s []string, got %T", p.label, p.takes(), o.groupsOf)
	}
	p.groupsOf = v
}

// groupsFor returns the groups of the results for args.
func (p *plan) groupsFor(args []reflect.Value) []string {
	if !p.groupsOf.IsValid() {
		return p.groups
	}
	return append(p.groups[:len(p.groups):len(p.groups)], callWith(p.groupsOf, args)[0].Interface().([]string)...)
}

var tupleType = reflect.TypeFor[cachekey.Tuple]()

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// key returns the text of the key for args. Prefix and version are the backend's affair.
func (p *plan) key(args []reflect.Value) (string, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := append((*buf)[:0], "[cached]"...)
	b = append(b, p.name...)
	b = append(b, '(')
	b, err := p.appendArgs(b, args)
	*buf = b
	if err != nil {
		return "", err
	}
	b = append(b, ')')
	*buf = b
	if p.hashed {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:]), nil
	}
	return string(b), nil
}

func (p *plan) appendArgs(b []byte, args []reflect.Value) ([]byte, error) {
	if p.keyOf.IsValid() {
		return appendTuple(b, p.keyParams, callWith(p.keyOf, args))
	}
	b, err := appendTuple(b, p.params, args)
	if err != nil || p.kwargsIndex < 0 || args[p.kwargsIndex].Len() == 0 {
		return b, err
	}
	return p.kwargs.Append(b, args[p.kwargsIndex].Convert(reflect.TypeFor[map[string]any]()))
}

// appendTuple renders values as Python's tuple, and none as nothing.
func appendTuple(b []byte, params []param, values []reflect.Value) ([]byte, error) {
	n := 0
	item := func(appendItem func(b []byte) ([]byte, error)) (err error) {
		if n == 0 {
			b = append(b, '(')
		} else {
			b = append(b, ',')
		}
		n++
		b, err = appendItem(b)
		return err
	}
	for _, prm := range params {
		v := values[prm.index]
		var err error
		switch {
		case prm.dynamicType:
			err = item(func(b []byte) ([]byte, error) { return appendDynamicType(b, v), nil })
		case prm.variadic:
			for i := 0; i < v.Len() && err == nil; i++ {
				err = item(func(b []byte) ([]byte, error) { return prm.encoder.Append(b, v.Index(i)) })
			}
		default:
			err = item(func(b []byte) ([]byte, error) { return prm.encoder.Append(b, v) })
		}
		if err != nil {
			return b, err
		}
	}
	if n == 1 {
		b = append(b, ',')
	}
	if n > 0 {
		b = append(b, ')')
	}
	return b, nil
}

// appendDynamicType stands for a receiver that is an interface: <example.com/app/geo.Circle>.
func appendDynamicType(b []byte, v reflect.Value) []byte {
	b = append(b, '<')
	if v.IsNil() {
		b = append(b, "None"...)
	} else {
		b = append(b, cachekey.TypeName(v.Elem().Type())...)
	}
	return append(b, '>')
}

// identity tells func values apart: it is the address of what a func value points at, as it is now.
func identity(fn reflect.Value) uintptr {
	p := reflect.New(fn.Type())
	p.Elem().Set(fn)
	return *(*uintptr)(p.UnsafePointer())
}

// fault logs why a call went around the cache.
func (p *plan) fault(err error) {
	p.task.Stats.Errors.Add(1)
	level := logging.LevelWarn
	if errors.Is(err, cacheutils.ErrUnknownBackend) {
		level = logging.LevelError
	}
	logging.Log(level, logging.Event{Action: logging.Fault, Text: fmt.Sprintf("call %s without the cache", p.name), Err: err})
}

func panicf(format string, args ...any) {
	panic("decorators: " + fmt.Sprintf(format, args...))
}
