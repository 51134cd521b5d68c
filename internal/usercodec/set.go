package usercodec

import (
	"fmt"
	"reflect"
	"sync"
)

// A Set is the codecs that a function has been given, which come before those that are registered. A nil Set is empty. It is
// not changed once it is in use.
type Set struct {
	exact      map[reflect.Type]*Codec // by the type that each is for
	interfaces []*Codec                // of all types that implement one
}

// Add adds a codec, in the place of one for the same type.
func (s *Set) Add(c *Codec) {
	if c.typ.Kind() != reflect.Interface {
		if s.exact == nil {
			s.exact = make(map[reflect.Type]*Codec)
		}
		s.exact[c.typ] = c
		return
	}
	for i := range s.interfaces {
		if s.interfaces[i].typ == c.typ {
			s.interfaces[i] = c
			return
		}
	}
	s.interfaces = append(s.interfaces, c)
}

// IsEmpty reports whether there are no codecs in the set.
func (s *Set) IsEmpty() bool { return s == nil || len(s.exact)+len(s.interfaces) == 0 }

// All calls yield with the codecs.
func (s *Set) All(yield func(*Codec) bool) {
	if s == nil {
		return
	}
	for _, c := range s.exact {
		if !yield(c) {
			return
		}
	}
	for _, c := range s.interfaces {
		if !yield(c) {
			return
		}
	}
}

// find returns the codec for values of type rt, or nil. A codec for rt itself comes before those for interfaces; of these there
// may be one.
func (s *Set) find(rt reflect.Type) (c *Codec, why string) {
	if s == nil {
		return nil, ""
	}
	if c := s.exact[rt]; c != nil {
		return c, ""
	}
	for _, of := range s.interfaces {
		switch {
		case !of.isFor(rt):
		case c != nil:
			return nil, fmt.Sprintf("there are two codecs for it, of %v and of %v; give it one of its own", c.typ, of.typ)
		default:
			c = of
		}
	}
	return c, ""
}

// isFor reports whether the codec is for values of type rt. An interface's is for those types that implement it themselves: of
// one that has the methods of a field that it embeds, the codec would leave out the other fields.
func (c *Codec) isFor(rt reflect.Type) bool {
	if c.typ.Kind() != reflect.Interface {
		return rt == c.typ
	}
	return rt.Kind() != reflect.Interface && rt.Implements(c.typ) && !embeds(rt, c.typ)
}

// embeds reports whether rt, or what it points at, is a struct with an embedded field that implements i.
func embeds(rt, i reflect.Type) bool {
	if rt.Kind() == reflect.Pointer {
		rt = rt.Elem()
	}
	if rt.Kind() != reflect.Struct {
		return false
	}
	for n := range rt.NumField() {
		f := rt.Field(n)
		if f.Anonymous && (f.Type.Implements(i) || f.Type.Kind() != reflect.Interface && reflect.PointerTo(f.Type).Implements(i)) {
			return true
		}
	}
	return false
}

// carries reports whether all values that an interface of type rt holds are those of a codec.
func (s *Set) carries(rt reflect.Type) bool {
	if s != nil {
		for _, c := range s.interfaces {
			if rt.Implements(c.typ) {
				return true
			}
		}
	}
	return false
}

// registered are the codecs of the program, with the types that were asked for: what was found for those doesn't change.
var registered = struct {
	sync.Mutex
	codecs Set
	places map[reflect.Type]string // where each was registered
	asked  map[reflect.Type]bool
}{places: make(map[reflect.Type]string), asked: make(map[reflect.Type]bool)}

// Register adds a codec to those of the program. place is where it comes from, for messages. It returns what is wrong with that,
// or "".
func Register(c *Codec, place string) (wrong string) {
	registered.Lock()
	defer registered.Unlock()
	if before, again := registered.places[c.typ]; again {
		return fmt.Sprintf("it has a codec already, registered at %s; leave out one of the two", before)
	}
	for rt := range registered.asked {
		if c.isFor(rt) || rt.Kind() == reflect.Interface && c.typ.Kind() == reflect.Interface && rt.Implements(c.typ) {
			return fmt.Sprintf("it comes too late: a Cached, a key or a cache.Set has met the type %v without it; "+
				"import the package that registers it in the one that decorates the function, so that it comes first", rt)
		}
	}
	registered.places[c.typ] = place
	registered.codecs.Add(c)
	return ""
}

// Find returns the codec for values of type rt: of the set's or, where it has none, of those that are registered; nil: there is
// none. why says why there is none though there are several. From now on none can be registered for the type.
func (s *Set) Find(rt reflect.Type) (c *Codec, why string) {
	if c, why := s.find(rt); c != nil || why != "" {
		return c, why
	}
	registered.Lock()
	defer registered.Unlock()
	registered.asked[rt] = true
	return registered.codecs.find(rt)
}

// Has reports whether there is a codec for values of type rt. It is no promise for later.
func (s *Set) Has(rt reflect.Type) bool {
	if c, _ := s.find(rt); c != nil {
		return true
	}
	registered.Lock()
	defer registered.Unlock()
	c, _ := registered.codecs.find(rt)
	return c != nil
}

// Carries reports whether an interface of type rt holds only values of codecs, as Find has them.
func (s *Set) Carries(rt reflect.Type) bool {
	if s.carries(rt) {
		return true
	}
	registered.Lock()
	defer registered.Unlock()
	registered.asked[rt] = true
	return registered.codecs.carries(rt)
}
