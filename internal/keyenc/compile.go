package keyenc

import (
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// How a type becomes an encoder: compiler.node visits each type that can be reached from the
// root once and leaves a node with a closure, body, that renders the value behind a pointer.
// Closures refer to the nodes of their parts, not to the parts' closures, so that recursive
// types end. While values are rendered, nothing about a type is decided except behind interfaces.

// An appendFunc appends the rendering of the value that p points at.
type appendFunc func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error)

// A node renders the values of one type. Its fields are set before the first value is rendered.
type node struct {
	typ  reflect.Type
	body appendFunc

	// The rendering is name+body where the type is known, full+body behind an interface.
	// If named is false, it is body and full(body) instead.
	named bool
	name  string
	full  string

	none     bool             // values may be None
	tuple    bool             // the type is cachekey.Tuple
	inPlace  bool             // body does not retain its pointer, nor pass it to code of other packages
	asText   bool             // the type has a text of its own: its kind doesn't say how it is rendered
	user     *usercodec.Codec // and that is the one of this codec
	keyer    bool             // and that is its CacheKey's
	reread   bool             // and that gives the value back
	fallback form             // behind an interface, which values are rendered bare

	scope *scope
	elem  *node  // of pointers, slices, arrays and maps
	key   *node  // of maps
	parts []part // of structs
}

// A part is a field that counts.
type part struct {
	intro  string // what stands before the value, its type's name included
	offset uintptr
	body   appendFunc
	node   *node // of the value, where body isn't known yet
}

// A form says which values of a type go without their type's name behind an interface.
type form uint8

const (
	typed        form = iota // no values
	bare                     // all but nil
	bareBig                  // *big.Int, where no int64 can hold it
	bareAnyKeyed             // map[any]any, where a key is not a string
)

var (
	mapAnyKeyedType = reflect.TypeFor[map[any]any]()

	bareTypes = map[reflect.Type]form{
		reflect.TypeFor[bool]():           bare,
		reflect.TypeFor[int]():            bare,
		reflect.TypeFor[float64]():        bare,
		reflect.TypeFor[string]():         bare,
		reflect.TypeFor[[]byte]():         bare,
		reflect.TypeFor[[]any]():          bare,
		reflect.TypeFor[map[string]any](): bare,
		mapAnyKeyedType:                   bareAnyKeyed,
		reflect.PointerTo(bigIntType):     bareBig,
	}
)

type compiler struct {
	scope  *scope
	nodes  map[reflect.Type]*node
	secret bool // a cachekey.Secret was reached
	flat   bool // only scalars, strings, times, structs and arrays were reached
}

// node returns the node of t, which was reached by way of at.
func (c *compiler) node(t reflect.Type, at trail) (*node, error) {
	if n, ok := c.nodes[t]; ok {
		return n, nil
	}
	n := &node{typ: t, full: TypeName(t), fallback: bareTypes[t], tuple: isTuple(t), scope: c.scope}
	if n.tuple {
		n.fallback = bare
	}
	c.nodes[t] = n
	if fields, ok := c.scope.attrs[t]; ok {
		return n, c.structNode(n, fields, at)
	}
	if isSecret(t) {
		c.secret = true
		n.asText, n.inPlace, n.named, n.name, n.body = true, true, true, "Secret", secretBody
		return n, nil
	}
	if ok, err := c.userText(n, at); err != nil || ok {
		return n, err
	}
	if ok, err := c.ownText(n, at); err != nil || ok {
		c.flat = c.flat && t == timeType // no other is known not to retain the pointer
		n.asText, n.inPlace = true, t == timeType
		if t != bigIntType {
			n.named, n.name = true, EscapeName(t.String())
		}
		return n, err
	}
	if why := refusal(t); why != "" {
		if c.scope.codecs.Has(reflect.PointerTo(t)) {
			why = whyPointer
		}
		return n, at.refused(t, why)
	}
	if body := scalarBody(t.Kind()); body != nil {
		n.inPlace, n.body = true, body
		return n, nil
	}
	return n, c.composite(n, at)
}

// composite completes the node of a type that is made of others; the remaining kinds can't be in a key.
func (c *compiler) composite(n *node, at trail) (err error) {
	t := n.typ
	switch t.Kind() {
	case reflect.Struct:
		err = c.structNode(n, countedFields(t), at)
	case reflect.Pointer:
		c.flat, n.none, n.inPlace = false, true, true
		n.elem, err = c.node(t.Elem(), at)
		n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			return n.appendPointer(dst, *(*unsafe.Pointer)(p), w)
		}
	case reflect.Slice:
		c.flat, n.none, n.inPlace = false, true, true
		n.elem, err = c.node(t.Elem(), at.step("[]"))
		n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			// The header of a slice has the layout of a []byte's, whatever the element type.
			s := *(*[]byte)(p)
			return n.appendSlice(dst, unsafe.Pointer(unsafe.SliceData(s)), len(s), w)
		}
	case reflect.Array:
		if k := t.Elem().Kind(); t.Len() == 0 && (k == reflect.Func || k == reflect.Chan || k == reflect.UnsafePointer) {
			// A mark that the struct around it can't be compared, say: there is nothing in it to be rendered.
			n.elem, n.inPlace = &node{typ: t.Elem(), scope: c.scope}, true
			n.body = func(dst []byte, _ unsafe.Pointer, _ walk) ([]byte, error) { return append(dst, "[]"...), nil }
			return nil
		}
		n.elem, err = c.node(t.Elem(), at.step("[]"))
		n.inPlace = n.elem.inPlace
		n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			return n.appendList(dst, p, t.Len(), w)
		}
	case reflect.Map:
		c.flat, n.none = false, true
		if n.key, err = c.node(t.Key(), at.step("[key]")); err == nil {
			n.elem, err = c.node(t.Elem(), at.step("[]"))
		}
		n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			return n.appendMap(dst, reflect.NewAt(t, p).Elem(), w)
		}
	case reflect.Interface:
		c.flat, n.none, n.inPlace = false, true, t.NumMethod() == 0
		n.body = n.interfaceBody()
	default:
		err = at.refused(t, "")
	}
	return err
}

func (n *node) interfaceBody() appendFunc {
	if n.typ.NumMethod() == 0 {
		return func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			return n.scope.appendAny(dst, *(*any)(p), w)
		}
	}
	return func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
		return n.scope.appendElem(dst, reflect.NewAt(n.typ, p).Elem(), w)
	}
}

// checkDynamic returns why what the interface at p holds can't be in a key, as far as its type says it.
func (n *node) checkDynamic(p unsafe.Pointer) error {
	v := reflect.NewAt(n.typ, p).Elem()
	if v.IsNil() {
		return nil
	}
	_, err := n.scope.encoder(v.Elem().Type())
	return err
}

// append renders the value that p points at where its type is known.
func (n *node) append(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
	return n.body(append(dst, n.name...), p, w)
}

// unexported is the error for a value that reflection doesn't give access to.
func (n *node) unexported() error {
	return invalid("a value of type %s was read from an unexported field and can't be addressed; give the struct around it", n.full)
}

// structNode completes the node of a struct type of which the given fields count.
func (c *compiler) structNode(n *node, fields []int, at trail) error {
	n.named, n.name = true, EscapeName(n.typ.Name())
	if n.name == "" {
		n.name = "struct"
	}
	parts := make([]part, 0, len(fields))
	n.inPlace = true
	intro := "{"
	for _, i := range fields {
		f := n.typ.Field(i)
		if tag := f.Tag.Get("cachekey"); tag != "" && tag != "-" {
			return invalid("tag cachekey:%q of field %s of %s: only \"-\" has a meaning", tag, f.Name, n.full)
		}
		elem, err := c.node(f.Type, at.field(f.Name))
		if err != nil {
			return err
		}
		parts = append(parts, part{intro + f.Name + "=" + elem.name, f.Offset, elem.body, elem})
		n.inPlace = n.inPlace && elem.inPlace
		intro = ","
	}
	n.parts = parts
	if len(parts) == 0 {
		n.body = func(dst []byte, _ unsafe.Pointer, _ walk) ([]byte, error) {
			return append(dst, "{}"...), nil
		}
		return nil
	}
	var services []part // what they hold may be what guards the other fields
	for _, f := range parts {
		if t := f.node.typ; t.Kind() == reflect.Interface && t.NumMethod() > 0 && len(parts) > 1 {
			services = append(services, f)
		}
	}
	n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
		var err error
		for i := range services {
			if err = services[i].node.checkDynamic(unsafe.Add(p, services[i].offset)); err != nil {
				return dst, err
			}
		}
		for i := range parts {
			f := &parts[i]
			body := f.body
			if body == nil {
				body = f.node.body
			}
			if dst, err = body(append(dst, f.intro...), unsafe.Add(p, f.offset), w); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return nil
}

// countedFields returns the indices of t's fields, without blank ones and those that are tagged
// cachekey:"-".
func countedFields(t reflect.Type) []int {
	var counted []int
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" && f.Tag.Get("cachekey") != "-" {
			counted = append(counted, i)
		}
	}
	return counted
}
