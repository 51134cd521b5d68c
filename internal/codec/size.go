package codec

import (
	"reflect"
	"unsafe"
)

const (
	sizeWork   = 10_000 // how many parts of a value Size visits
	sizeDepth  = 200    // how many pointers, slices, maps and interfaces it follows into each other
	sizeSample = 256    // how many elements of a slice or entries of a map it visits
)

// Size estimates how many bytes of memory the value at p holds: its own, and those of the
// strings, slices, maps and pointees that it refers to. It works for all types, refused ones
// too, visits no more than 10,000 parts of a value, and takes the rest of a long slice or map
// to be like its beginning. What is reached by two ways counts twice.
//
// A pointee that guards itself (its struct has a field of a type from sync or sync/atomic) counts
// only by its own size, and a map in a value that can't be encoded only by its length, because
// other goroutines may be changing them.
func (t *Type) Size(p unsafe.Pointer) int {
	s := sizer{work: sizeWork, live: t.refused != nil}
	return int(t.rtype.Size()) + s.behind(t, p)
}

type sizer struct {
	work  int
	depth int
	live  bool // parts may change while they are visited
}

// behind returns what the value at p refers to.
func (s *sizer) behind(t *Type, p unsafe.Pointer) int {
	kind := t.rtype.Kind()
	if kind == reflect.String {
		return len(*(*string)(p))
	}
	if t.form == asTime || t.flat || s.work <= 0 || s.depth >= sizeDepth {
		return 0
	}
	s.work--
	s.depth++
	defer func() { s.depth-- }()
	switch kind {
	case reflect.Pointer:
		return s.pointee(t.elem, *(*unsafe.Pointer)(p))
	case reflect.Interface:
		return s.dynamic(reflect.NewAt(t.rtype, p).Elem().Elem())
	case reflect.Slice:
		h := (*sliceHeader)(p)
		return h.cap*int(t.elem.rtype.Size()) + s.elements(t.elem, h.data, h.len)
	case reflect.Array:
		return s.elements(t.elem, p, t.rtype.Len())
	case reflect.Map:
		return s.mapped(t, reflect.NewAt(t.rtype, p).Elem())
	case reflect.Struct:
		n := 0
		for _, f := range t.fields {
			n += s.behind(f.typ, unsafe.Add(p, f.offset))
		}
		return n
	}
	return 0
}

func (s *sizer) pointee(t *Type, p unsafe.Pointer) int {
	if p == nil {
		return 0
	}
	if t.guarded {
		return int(t.rtype.Size())
	}
	return int(t.rtype.Size()) + s.behind(t, p)
}

// dynamic returns the size of what an interface holds.
func (s *sizer) dynamic(v reflect.Value) int {
	if !v.IsValid() {
		return 0
	}
	t := Of(v.Type())
	switch v.Kind() {
	case reflect.Pointer:
		return s.pointee(t.elem, v.UnsafePointer())
	case reflect.Map:
		return s.mapped(t, v)
	case reflect.String:
		return 16 + v.Len()
	}
	if t.flat || t.guarded {
		return int(v.Type().Size())
	}
	box := reflect.New(v.Type())
	box.Elem().Set(v)
	return int(v.Type().Size()) + s.behind(t, box.UnsafePointer())
}

func (s *sizer) elements(t *Type, p unsafe.Pointer, n int) int {
	if n == 0 || t.flat {
		return 0
	}
	total, visited := 0, min(n, sizeSample)
	for i := range visited {
		if s.work <= 0 {
			visited = i
			break
		}
		s.work--
		total += s.behind(t, unsafe.Add(p, uintptr(i)*t.rtype.Size()))
	}
	return extrapolate(total, visited, n)
}

func (s *sizer) mapped(t *Type, m reflect.Value) int {
	if m.IsNil() {
		return 0
	}
	n := m.Len()
	size := int(t.mapMemory(uint64(n)))
	if n == 0 || s.live || t.key.flat && t.elem.flat {
		return size
	}
	key, elem := reflect.New(t.key.rtype), reflect.New(t.elem.rtype)
	total, visited := 0, 0
	for iter := m.MapRange(); visited < sizeSample && s.work > 0 && iter.Next(); visited++ {
		s.work--
		key.Elem().SetIterKey(iter)
		elem.Elem().SetIterValue(iter)
		total += s.behind(t.key, key.UnsafePointer()) + s.behind(t.elem, elem.UnsafePointer())
	}
	return size + extrapolate(total, visited, n)
}

func extrapolate(total, visited, n int) int {
	if visited == 0 {
		return 0
	}
	return int(float64(total) / float64(visited) * float64(n))
}

// flat reports whether values refer to nothing.
func flat(t *Type) bool {
	switch t.rtype.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.String,
		reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return t.rtype.Len() == 0 || flat(t.elem)
	case reflect.Struct:
		for _, f := range t.fields {
			if !flat(f.typ) {
				return false
			}
		}
	}
	return true
}

// guarded reports whether t is a struct that is made to be changed by several goroutines: it has
// a field of a type from sync or its kin.
func guarded(t *Type) bool {
	for _, f := range t.fields {
		switch f.typ.rtype.PkgPath() {
		case "sync", "sync/atomic", "internal/sync", "internal/poll":
			return true
		}
		if guarded(f.typ) {
			return true
		}
	}
	return false
}
