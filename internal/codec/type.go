package codec

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// A Type encodes and decodes the values of one Go type. It is made once per type by Of and never
// changes afterwards, so it may be used by any number of goroutines.
type Type struct {
	rtype  reflect.Type
	ptr    reflect.Type
	form   form
	elem   *Type            // of arrays, slices, pointers and maps
	key    *Type            // of maps
	fields []field          // of structs, blank and unexported ones included
	scope  *Scope           // in which values behind interfaces have their types
	user   *usercodec.Codec // of a type that has one, whose parts are not looked at
	schema string           // of such a type

	refused *refusal // nil if values can be encoded
	encode  encodeFunc
	decode  decodeFunc

	min          uint64 // the fewest bytes that a value is encoded to; with 0 it is always none
	mem          uint64 // the bytes that a value takes in memory on a 64-bit machine
	nests        bool   // an encoded value may hold others behind pointers, slices, maps or interfaces
	flat         bool   // a value refers to no other memory
	guarded      bool   // what several goroutines may be changing
	borrowsGuard bool   // a struct that refers to its guard
	direct       bool   // an interface holds it as it is
	borrows      bool   // the value itself, not what it refers to, has strings or times in it
	shareable    bool

	any  *Type // the type itself, of what Only has returned; otherwise nil
	only Types // what Only was told

	trying sync.Once
	tried  error // of tryout

	hashing     sync.Once
	fingerprint uint64
	ambiguous   atomic.Bool // another type has the same fingerprint
	expected    bool        // by Expect, which alone uses it
}

type field struct {
	name     string
	typ      *Type
	offset   uintptr
	blank    bool // called _
	embedded bool
	hidden   bool // unexported, with something to keep, of which nothing is promoted
}

// A form says what carries the values of a type.
type form uint8

const (
	structural form = iota // their parts
	asTime                 // the encoding of time.Time
	asBinary               // their own MarshalBinary and UnmarshalBinary
	asGob                  // their own GobEncode and GobDecode
	asText                 // their own MarshalText and UnmarshalText
	asUser                 // a codec that the user has given
)

// A Scope has the types of which values are encoded alike, by the same codecs of users.
type Scope struct {
	compiling sync.Mutex // held while types are compiled
	byType    sync.Map   // reflect.Type to *Type
	codecs    *usercodec.Set
	expecting expectations
}

// program is the scope of the codecs that are registered.
var program = new(Scope)

// fingerprints are the types of all scopes: uint64 to *Type.
var fingerprints sync.Map

// NewScope returns the scope in which the codecs come before those that are registered.
func NewScope(codecs *usercodec.Set) *Scope {
	if codecs.IsEmpty() {
		return program
	}
	return &Scope{codecs: codecs}
}

// Of is Scope.Of for the program.
func Of(t reflect.Type) *Type { return program.Of(t) }

// Of returns the Type of t, which must not be nil. It never fails: if t can't be encoded, Err of
// the result says why.
func (s *Scope) Of(t reflect.Type) *Type {
	if known, ok := s.byType.Load(t); ok {
		return known.(*Type)
	}
	return s.compile(t)
}

// Lookup returns the type that has this fingerprint, out of those that this process knows: given to
// Of, part of such a type, near one that was given to Expect, or encoded behind an interface. It returns false if there is none, or if
// two types share the fingerprint, as types of one name and structure declared inside two
// functions do; only a process that knows both can tell.
func Lookup(fingerprint uint64) (*Type, bool) {
	known, ok := fingerprints.Load(fingerprint)
	if !ok || known.(*Type).ambiguous.Load() {
		return nil, false
	}
	return known.(*Type), true
}

// lookup is Lookup for a value behind an interface in the scope: another one may have another codec for the type.
func (s *Scope) lookup(fingerprint uint64) (*Type, bool) {
	t, ok := Lookup(fingerprint)
	switch {
	case !ok || t.scope == s:
		return t, ok
	case s == program:
		return nil, false
	}
	t = s.Of(t.rtype)
	return t, t.Fingerprint() == fingerprint
}

// Type returns the Go type.
func (t *Type) Type() reflect.Type { return t.rtype }

// Pointer returns the type of pointers to values of the type.
func (t *Type) Pointer() reflect.Type { return t.ptr }

// Err returns nil if values of the type can be encoded exactly. Otherwise it says why not,
// naming the path to the offending field and its type; it matches ErrUnsupportedValue. It calls the marshalers in
// the type for values of its own, once.
func (t *Type) Err() error {
	if t.refused != nil {
		return unsupported(t.refusalText())
	}
	if t.any != nil {
		return t.any.Err()
	}
	t.trying.Do(func() { t.tried = t.tryout() })
	return t.tried
}

// Shareable reports whether a plain copy of a value shares nothing that could be changed through
// it: bools, numbers, strings, time.Time, the types of net/netip, and the arrays and structs of
// those, whether their fields are exported or not.
func (t *Type) Shareable() bool { return t.shareable }

// compile makes the types of rt and of all its parts. They are published together,
// so that a type in use never refers to one that is unfinished.
func (s *Scope) compile(rt reflect.Type) *Type {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	c := compiler{scope: s, found: make(map[reflect.Type]*Type)}
	root := c.of(rt)
	c.refuse()
	for _, t := range c.order {
		t.min = fewest(t)
		t.shareable = shareable(t)
		t.nests = nests(t)
		t.flat = flat(t)
		t.guarded = guarded(t)
		t.borrowsGuard = borrowsGuard(t)
		t.direct = direct(t.rtype)
		t.borrows = borrows(t)
		t.encode, t.decode = t.coders()
	}
	for _, t := range c.order {
		if t.refused == nil || t == root {
			register(t)
		}
		s.byType.Store(t.rtype, t)
	}
	return root
}

func register(t *Type) {
	known, loaded := fingerprints.LoadOrStore(t.Fingerprint(), t)
	if loaded && known.(*Type).rtype != t.rtype {
		known.(*Type).ambiguous.Store(true)
		t.ambiguous.Store(true)
	}
}

// A compiler holds the types of one call of compile, in the order in which they were found.
type compiler struct {
	scope *Scope
	found map[reflect.Type]*Type
	order []*Type
}

func (c *compiler) of(rt reflect.Type) *Type {
	if known, ok := c.scope.byType.Load(rt); ok {
		return known.(*Type)
	}
	if t, ok := c.found[rt]; ok {
		return t
	}
	t := &Type{rtype: rt, ptr: reflect.PointerTo(rt), scope: c.scope}
	t.mem, _ = memory(rt)
	c.found[rt] = t
	c.order = append(c.order, t)
	if rt == timeType {
		t.form = asTime
		return t
	}
	if c.user(t) {
		return t
	}
	switch rt.Kind() {
	case reflect.Array, reflect.Slice, reflect.Pointer:
		t.elem = c.of(rt.Elem())
	case reflect.Map:
		t.key, t.elem = c.of(rt.Key()), c.of(rt.Elem())
	case reflect.Struct:
		t.fields = make([]field, rt.NumField())
		for i := range t.fields {
			f := rt.Field(i)
			t.fields[i] = field{
				name:     f.Name,
				typ:      c.of(f.Type),
				offset:   f.Offset,
				blank:    f.Name == "_",
				embedded: f.Anonymous,
				hidden:   !f.IsExported() && f.Name != "_" && !promotes(f) && f.Type.Size() > 0,
			}
		}
	}
	return t
}

// promotes reports whether f is an embedded struct, or pointer to one, whose exported fields are
// fields of the outer struct as well, even if f itself is unexported.
func promotes(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return f.Anonymous && t.Kind() == reflect.Struct
}

// parts calls yield with the types whose values are inside an encoded value of t, as far as they are encoded by this package.
func (t *Type) parts(yield func(step string, part *Type) bool) {
	if t.form == asUser {
		return
	}
	switch t.rtype.Kind() {
	case reflect.Array:
		if t.rtype.Len() > 0 {
			yield("[]", t.elem)
		}
	case reflect.Slice:
		yield("[]", t.elem)
	case reflect.Pointer:
		yield("", t.elem)
	case reflect.Map:
		if yield("[key]", t.key) {
			yield("[]", t.elem)
		}
	case reflect.Struct:
		for _, f := range t.fields {
			if !f.blank && !yield(f.name, f.typ) {
				return
			}
		}
	}
}

var (
	timeType = reflect.TypeFor[time.Time]()
	anyType  = reflect.TypeFor[any]()
)

// unsupported is an error with a text of its own that matches ErrUnsupportedValue.
type unsupported string

func (u unsupported) Error() string { return string(u) }
func (u unsupported) Unwrap() error { return cacheutils.ErrUnsupportedValue }
