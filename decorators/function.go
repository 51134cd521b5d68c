package decorators

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/funcname"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/typeid"
)

// Key is the function's name in keys, in place of its package, name and line. With it entries
// survive edits above the function, and literals and methods have a name of their own. A generic function's type
// arguments are added to it, and to that of a func literal in one: Find[func(int)string].
//
// Functions of one Key on one backend share their entries: a Cached1 and the CachedMany of the same types, for
// instance. That two others have one is logged, once; Cached panics if their results differ in type. The last of two Keys
// counts. A space or control character in the name is shown as \x20 and the like, as are a backslash, and a ] at its end.
func Key(name string) Option {
	return func(o *options) { o.key = &name }
}

// Instance says what a closure or a method value is bound to: a shard, a tenant. It is a part of the function's name in
// keys, rendered like an argument, with or without a Key:
//
//	r.Find, r.finds = decorators.Cached2(r.find, decorators.Instance(r.shard)) // example.com/app/repo.Repo.find['eu']
//
// Closures of one func literal look alike, and so do the method values of all receivers: without one of the two options
// Cached panics for a method value, and for the second closure. Functions with equal ids share their entries, as those
// of one Key do. The name stands in logs and in keys; a cachekey.Secret in id stands there as its SHA-256, which can be guessed
// from, also where the backend has a key_secret. Cached panics if id is nil or can't be in a key.
func Instance(id any) Option {
	return func(o *options) { o.instance, o.hasInstance = id, true }
}

type nameOptions struct {
	key         *string // nil: not given
	instance    any
	hasInstance bool
}

// A function is what Cached was given: a function, its name, and its options.
type function struct {
	fn          reflect.Value
	typ         reflect.Type // of fn; of a CachedMany what it would be for one key
	name        string       // in keys
	displayName string       // in messages, with the location
	location    string       // file:line of the call of Cached
	hasReceiver bool         // it is a method expression
	sole        string       // what it is, if the name stands for this func value alone; otherwise empty
	isNowhere   bool         // the name may be that of a function of another program
	options     options
	scope       *codec.Scope // of the types in its parameters and results
}

// newFunction panics if fn is not a function, or one whose name can't be known. typ is the type that it is
// cached as; nil is its own.
func newFunction(fn reflect.Value, typ reflect.Type, location string, opts []Option) *function {
	if fn.Kind() != reflect.Func || fn.IsNil() {
		panicf("Cached at %s takes a function, got %s", location, errtext.Given(fn))
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
	f.planCodecs()
	f.findName()
	return f
}

// findName finds the function's name and whether its first parameter is a receiver.
func (f *function) findName() {
	described, err := funcname.Describe(f.fn.Interface())
	f.name, f.displayName = described.Name, described.Name
	f.hasReceiver = err == nil && described.Receiver
	f.isNowhere = f.options.key == nil && typeid.IsNowhere(described.Package)
	isNamed := f.options.key != nil || f.options.hasInstance
	switch key := f.options.key; {
	case key != nil && *key == "":
		panicf("Cached at %s: Key has an empty name; give one that no other function has", f.location)
	case key != nil:
		f.name = legal(*key) + f.typeArguments(described)
		if err != nil {
			f.displayName = *key
		}
	case err != nil:
		what, _, _ := strings.Cut(reason(err), ";")
		panicf("Cached at %s: %s, and has no name of its own; give it one with Key, or decorate what it was made of", f.location, what)
	case isDecorated(described):
		panicf("Cached at %s: the function is a decorated one, and all of these look alike; give it a name with Key, or decorate its handle's Original", f.location)
	case described.Bound && !isNamed:
		panicf("Cached at %s: %s is a method value, and those of all receivers look alike; "+
			"say which receiver it is with decorators.Instance (a shard, a tenant), or name it with decorators.Key", f.location, f.name)
	case isNamed:
	case described.Literal:
		f.sole = fmt.Sprintf("the func literal at %s:%d", described.File, described.Line)
	case described.Local:
		f.sole = typeid.WithoutNumbers(f.name) + ", for a type that is declared in a function,"
	case described.Types != "" && !described.Receiver:
		f.sole = "the generic function " + f.name + ", for type arguments that don't show there,"
	}
	if f.options.hasInstance {
		f.name += "[" + f.instance() + "]"
	}
	f.displayName += " (decorated at " + f.location + ")"
}

// typeArguments returns what of the name stands for type arguments, to follow a Key.
func (f *function) typeArguments(described funcname.Func) string {
	if described.Types == "" || described.Receiver {
		return described.Types
	}
	return "[" + keyenc.TypeName(f.typ) + "]" // that of a CachedMany has the types of one key
}

// instance renders the id that Instance has.
func (f *function) instance() string {
	id := f.options.instance
	if isNil(reflect.ValueOf(id)) {
		panicf("%s: Instance has a nil id; give it what the function is bound to", f.displayName)
	}
	e, err := f.encoderOf(reflect.TypeFor[any](), f.attrs())
	if err == nil {
		var text []byte
		if text, err = e.Append(nil, reflect.ValueOf(&id).Elem()); err == nil {
			return string(text)
		}
	}
	panicf("%s: Instance has an id of type %T, which can't be in a key: %s; give a number or a text", f.displayName, id, reason(err))
	return ""
}

// nameOfAll returns the name without what Instance adds: that of all instances.
func (f *function) nameOfAll() string {
	if !f.options.hasInstance {
		return f.name
	}
	return strings.TrimSuffix(f.name, "["+f.instance()+"]")
}

// reason returns what an error about a key or a name says, without that it is about one.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), cacheutils.ErrInvalidKey.Error()+": ")
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return v.IsNil()
	default:
		return false
	}
}

// isDecorated reports whether the function is one that this package has made.
func isDecorated(described funcname.Func) bool {
	return (described.Literal || described.Bound) && described.Package == ownPackage && !strings.HasSuffix(described.File, "_test.go")
}

var ownPackage = reflect.TypeFor[function]().PkgPath()

// legal returns name with escapes for what can't be in a key, so that the rest of a key with
// this name stays readable. Two names are two texts, and none ends as one with type arguments or an instance.
func legal(name string) string {
	var b strings.Builder
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && size == 1, r <= ' ', r == 0x7f, r == '\\', r == ']' && i == len(name)-1:
			fmt.Fprintf(&b, `\x%02x`, name[i])
		default:
			b.WriteString(name[i : i+size])
		}
	}
	return b.String()
}

// isMany reports whether the function is cached for one key at a time, and called for many.
func (f *function) isMany() bool { return f.typ != f.fn.Type() }

// address distinguishes func values: it is that of what the func value points at, as it is now.
func (f *function) address() uintptr {
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

// givenFunc describes v, which an option was given in place of a function that fits.
func givenFunc(v reflect.Value) string {
	if v.Kind() == reflect.Func && !v.IsNil() {
		return v.Type().String()
	}
	return errtext.Given(v)
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
