package decorators

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/funcname"
)

// Key is the function's name in keys, in place of its package, name and line. With it entries
// survive edits above the function, and literals and methods have a name of their own. A
// space or control character in it is shown as \x20 and the like.
func Key(name string) Option {
	return func(o *options) { o.key = &name }
}

type nameOptions struct {
	key *string // nil: not given
}

// A function is what Cached was given: a function, its name, and its options.
type function struct {
	fn          reflect.Value
	typ         reflect.Type // of fn; of a CachedMany what it would be for one key
	name        string       // in keys
	displayName string       // in messages, with the location
	location    string       // file:line of the call of Cached
	hasReceiver bool         // it is a method expression
	options     options
}

// newFunction panics if fn is not a function, or one whose name can't be known. typ is the type that it is
// cached as; nil is its own.
func newFunction(fn reflect.Value, typ reflect.Type, location string, opts []Option) *function {
	if fn.Kind() != reflect.Func || fn.IsNil() {
		panicf("Cached at %s takes a function, got %s", location, describe(fn))
	}
	if typ == nil {
		typ = fn.Type()
	}
	f := &function{fn: fn, typ: typ, location: location}
	for i, opt := range opts {
		if opt == nil {
			panicf("Cached at %s: option %d is nil; leave it out", location, i+1)
		}
		opt(&f.options)
	}
	f.findName()
	return f
}

func describe(v reflect.Value) string {
	switch {
	case !v.IsValid():
		return "nil"
	case v.Kind() == reflect.Func:
		return "a nil " + v.Type().String()
	default:
		return "a value of type " + v.Type().String()
	}
}

// findName finds the function's name and whether its first parameter is a receiver.
func (f *function) findName() {
	described, err := funcname.Describe(f.fn.Interface())
	f.name, f.displayName = described.Name, described.Name
	f.hasReceiver = err == nil && described.Receiver
	switch key := f.options.key; {
	case key == nil && err != nil:
		panicf("Cached at %s: the function has no name of its own: %v; give it one with Key", f.location, errtext.Bare(err))
	case key == nil:
	case *key == "":
		panicf("Cached at %s: Key has an empty name; give one that no other function has", f.location)
	default:
		f.name = legal(*key)
		if err != nil {
			f.displayName = *key
		}
	}
	f.displayName += " (decorated at " + f.location + ")"
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

// isMany reports whether the function is cached for one key at a time, and called for many.
func (f *function) isMany() bool { return f.typ != f.fn.Type() }

// identity distinguishes func values: it is the address of what the func value points at, as it is now.
func (f *function) identity() uintptr {
	p := reflect.New(f.fn.Type())
	p.Elem().Set(f.fn)
	return *(*uintptr)(p.UnsafePointer())
}

// takes describes the parameters: "(context.Context, int64, ...string)".
func (f *function) takes() string {
	t := f.typ
	if !t.IsVariadic() {
		return "(" + typeList(t.In, t.NumIn()) + ")"
	}
	fixed := typeList(t.In, t.NumIn()-1)
	if fixed != "" {
		fixed += ", "
	}
	return "(" + fixed + "..." + t.In(t.NumIn()-1).Elem().String() + ")"
}

func typeList(at func(int) reflect.Type, n int) string {
	var list string
	for i := range n {
		if i > 0 {
			list += ", "
		}
		list += at(i).String()
	}
	return list
}

// takesParameters reports whether v is a function that can be called with the function's arguments.
func (f *function) takesParameters(v reflect.Value) bool {
	t := f.typ
	ok := v.Kind() == reflect.Func && !v.IsNil() &&
		v.Type().NumIn() == t.NumIn() && v.Type().IsVariadic() == t.IsVariadic()
	for i := 0; ok && i < t.NumIn(); i++ {
		ok = t.In(i).AssignableTo(v.Type().In(i))
	}
	return ok
}

// given is a function that an option was given: nil, too, so that it is told from none.
func given(fn any) any {
	if fn == nil {
		return nothing{}
	}
	return fn
}

type nothing struct{}

// got describes what an option was given in place of a function that fits.
func got(fn any) string {
	v := reflect.ValueOf(fn)
	switch {
	case v.Type() == reflect.TypeFor[nothing]():
		return "nil"
	case v.Kind() == reflect.Func && !v.IsNil():
		return v.Type().String()
	default:
		return describe(v)
	}
}

// callWith calls fn, which takesParameters, with the function's arguments.
func callWith(fn reflect.Value, args []reflect.Value) []reflect.Value {
	if fn.Type().IsVariadic() {
		return fn.CallSlice(args)
	}
	return fn.Call(args)
}

// callerLocation returns the file:line of a caller: of the function that calls it for skip 0, of that one's
// caller for 1.
func callerLocation(skip int) string {
	_, file, line, _ := runtime.Caller(skip + 1)
	return fmt.Sprintf("%s:%d", file, line)
}

func panicf(format string, args ...any) {
	panic("decorators: " + fmt.Sprintf(format, args...))
}
