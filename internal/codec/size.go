package codec

import (
	"math"
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// How much memory a value holds. What a value refers to is counted once, however many ways lead there, and each piece of
// memory as large as the allocator makes it. Pieces that are found wait in a list, so that neither long lists nor
// deep trees need a stack.

// sizeWork is how many parts of a value Size visits. A value with so many takes 64 MiB and more.
const sizeWork = 4 << 20

// Size returns about how many bytes of memory the value at p holds: its own, and those of the strings, slices, maps,
// pointees and time zones that it refers to, as large as the allocator makes them. It works for all types, refused ones
// too. What is reached by two ways counts once. Of more than four million parts it visits those at equal distances, and
// takes the rest to be like them.
//
// Some memory can't be seen from the value: what comes before a string or slice in the array that it was cut from, the
// rest of an array or struct that a pointer points into, what a function has captured, and what is in a channel. Nor does
// Size look where other goroutines may be changing something: what guards itself, see guarded, counts only by its own
// size, unless it is the value at p. A struct in that whose guard is elsewhere counts with the memory that it refers to
// itself, but no map. hidden is the type of the first part that is left out, or nil if there is none.
func (t *Type) Size(p unsafe.Pointer) (size int, hidden reflect.Type) {
	if t.flat {
		return allocation(t.rtype.Size(), false), nil
	}
	if t.rtype.Kind() == reflect.String && t.form != asUser {
		return allocation(t.rtype.Size(), true) + allocation(uintptr(len(*(*string)(p))), false), nil
	}
	s := sizers.Get().(*sizer)
	s.work, s.size = sizeWork, allocation(t.rtype.Size(), true)
	s.parts(t, p)
	for len(s.pieces) > 0 {
		last := len(s.pieces) - 1
		next := s.pieces[last]
		s.pieces = s.pieces[:last]
		s.visit(next)
	}
	size, hidden = s.size, s.hidden
	s.free()
	return size, hidden
}

var sizers = sync.Pool{New: func() any { return &sizer{seen: map[uintptr]struct{}{}, arrays: map[uintptr]uintptr{}} }}

type sizer struct {
	size   int
	work   int // how many parts may still be visited
	pieces []piece
	seen   map[uintptr]struct{} // what is in pieces or has been, by its address and type
	arrays map[uintptr]uintptr  // the arrays of slices: where their part that counts begins, by their end
	hidden reflect.Type

	borrowed bool // what is counted now is in a struct whose guard others have, too: nothing that it refers to is visited
}

// A piece is memory that has been counted, but for what it refers to: n values of a type, one after the other.
type piece struct {
	typ *Type
	at  unsafe.Pointer
	n   int
}

// free has s used again, unless a large value has made it large.
func (s *sizer) free() {
	const most = 1 << 10
	if len(s.seen) > most || len(s.arrays) > most || cap(s.pieces) > most {
		return
	}
	clear(s.seen)
	clear(s.arrays)
	*s = sizer{pieces: s.pieces[:0], seen: s.seen, arrays: s.arrays}
	sizers.Put(s)
}

// isNew notes that what is at p was seen as a t, and reports whether that is the first time.
func (s *sizer) isNew(t *Type, p unsafe.Pointer) bool { return s.isNewAt(t, uintptr(p)) }

func (s *sizer) isNewAt(t *Type, at uintptr) bool {
	id := at ^ uintptr(uint64(uintptr(unsafe.Pointer(t)))*0x9e3779b97f4a7c15)
	before := len(s.seen)
	s.seen[id] = struct{}{}
	return len(s.seen) > before
}

// visit counts what a piece refers to.
func (s *sizer) visit(piece piece) {
	every := 1 // of how many one is visited
	if piece.n > s.work {
		every = piece.n/max(s.work, 1) + 1
	}
	before, visited := s.size, 0
	size := piece.typ.rtype.Size()
	for i := 0; i < piece.n && s.work > 0; i += every {
		s.work--
		visited++
		s.parts(piece.typ, unsafe.Add(piece.at, uintptr(i)*size))
	}
	s.extrapolate(before, visited, piece.n)
}

// parts counts what the value at p refers to.
func (s *sizer) parts(t *Type, p unsafe.Pointer) {
	switch {
	case t.flat:
		return
	case t.form == asUser:
		s.encoded(t, p)
		return
	}
	switch t.rtype.Kind() {
	case reflect.String:
		s.text(t, *(*string)(p))
	case reflect.Pointer:
		s.pointee(t.elem, *(*unsafe.Pointer)(p))
	case reflect.Interface:
		if v := reflect.NewAt(t.rtype, p).Elem().Elem(); v.IsValid() {
			s.dynamic(t.scope.Of(v.Type()), (*[2]unsafe.Pointer)(p))
		}
	case reflect.Slice:
		s.slice(t, (*sliceHeader)(p))
	case reflect.Map:
		s.mapped(t, reflect.NewAt(t.rtype, p).Elem())
	case reflect.Chan, reflect.Func:
		s.opaque(t, p)
	case reflect.Array:
		size := t.elem.rtype.Size()
		for i := range t.rtype.Len() {
			s.parts(t.elem, unsafe.Add(p, uintptr(i)*size))
		}
	case reflect.Struct:
		if t.form == asTime {
			s.size += zoneSize(*(*time.Time)(p), s)
			return
		}
		outer := s.borrowed
		s.borrowed = outer || t.borrowsGuard
		for i := range t.fields {
			s.parts(t.fields[i].typ, unsafe.Add(p, t.fields[i].offset))
		}
		s.borrowed = outer
	}
}

// encoded counts what the value at p, of a type with a codec of the user's, refers to: that is not to be seen, and taken to be
// what decoding it takes.
func (s *sizer) encoded(t *Type, p unsafe.Pointer) {
	v := reflect.NewAt(t.rtype, p).Elem()
	if usercodec.IsNil(v) || t.rtype.Kind() == reflect.Pointer && !s.isNew(t, v.UnsafePointer()) {
		return
	}
	data, err := t.user.Encode(v)
	if err == nil {
		var n uint64
		if n, err = t.user.Memory(data, t.rtype); err == nil {
			s.size += int(min(n, math.MaxInt32))
		}
	}
	if err != nil {
		s.hide(t)
	}
}

// opaque counts a channel or function, but for what is in it.
func (s *sizer) opaque(t *Type, p unsafe.Pointer) {
	at := *(*unsafe.Pointer)(p)
	if at == nil || !s.isNew(t, at) {
		return
	}
	s.size += 96
	if t.rtype.Kind() == reflect.Chan {
		s.size += reflect.NewAt(t.rtype, p).Elem().Cap() * int(t.rtype.Elem().Size())
		if t.scope.Of(t.rtype.Elem()).flat {
			return
		}
	}
	s.hide(t)
}

// hide notes that a t has parts that are not counted.
func (s *sizer) hide(t *Type) {
	if s.hidden == nil {
		s.hidden = t.rtype
	}
}

// text counts a string, a long one once.
func (s *sizer) text(t *Type, text string) {
	const long = 1 << 10
	if n := uintptr(len(text)); n < long || s.isNewAt(t, uintptr(unsafe.Pointer(unsafe.StringData(text)))+n*0x9e3779b1) {
		s.size += allocation(n, false)
	}
}

func (s *sizer) pointee(t *Type, p unsafe.Pointer) {
	if p == nil || !s.isNew(t, p) {
		return
	}
	s.size += allocation(t.rtype.Size(), !t.flat)
	s.find(piece{t, p, 1})
}

// find has a piece visited that was counted.
func (s *sizer) find(piece piece) {
	switch {
	case piece.n == 0 || piece.typ.flat:
	case piece.typ.guarded, s.borrowed:
		s.hide(piece.typ)
	default:
		s.pieces = append(s.pieces, piece)
	}
}

// dynamic counts what an interface with a value of type t holds.
func (s *sizer) dynamic(t *Type, words *[2]unsafe.Pointer) {
	if t.direct {
		s.parts(t, unsafe.Pointer(&words[1]))
	} else {
		s.pointee(t, words[1])
	}
}

// direct reports whether an interface holds a t itself, a pointer in some guise, and not a pointer to one.
func direct(rt reflect.Type) bool {
	if rt.Kind() == reflect.Interface || rt.Size() != unsafe.Sizeof(uintptr(0)) {
		return false
	}
	zero := reflect.Zero(rt).Interface()
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&zero))[1] == nil
}

// slice counts an array up to the end of the capacity, from where the slice or another one that was cut from the array
// begins.
func (s *sizer) slice(t *Type, h *sliceHeader) {
	size := t.elem.rtype.Size()
	if h.cap == 0 || size == 0 || !s.isNew(t, h.data) {
		return
	}
	begin, end := uintptr(h.data), uintptr(h.data)+uintptr(h.cap)*size
	counted, known := s.arrays[end]
	if !known {
		counted = end
	}
	s.arrays[end] = min(begin, counted)
	switch {
	case !known:
		s.size += allocation(end-begin, !t.elem.flat)
	case begin < counted:
		s.size += int(counted - begin)
	}
	s.find(piece{t.elem, h.data, h.len})
}

// mapped counts a map and what is in it.
func (s *sizer) mapped(t *Type, m reflect.Value) {
	if m.IsNil() || !s.isNew(t, m.UnsafePointer()) {
		return
	}
	if s.borrowed {
		s.hide(t)
		return
	}
	n := m.Len()
	s.size += int(t.mapMemory(uint64(n)))
	if n == 0 || t.key.flat && t.elem.flat {
		return
	}
	if t.key.guarded || t.elem.guarded {
		s.hide(t)
		return
	}
	key, elem := reflect.New(t.key.rtype), reflect.New(t.elem.rtype)
	before, visited := s.size, 0
	for iter := m.MapRange(); s.work > 0 && iter.Next(); visited++ {
		s.work--
		key.Elem().SetIterKey(iter)
		elem.Elem().SetIterValue(iter)
		s.parts(t.key, key.UnsafePointer())
		s.parts(t.elem, elem.UnsafePointer())
	}
	s.extrapolate(before, visited, n)
}

// extrapolate takes what was not visited of n values, to which nothing belongs that was counted before, to be like the
// rest. What waits in pieces is not in that.
func (s *sizer) extrapolate(before, visited, n int) {
	if visited > 0 && visited < n {
		s.size += int(float64(s.size-before) / float64(visited) * float64(n-visited))
	}
}

// allocation returns about what the allocator takes for n bytes, with pointers or without: one of its sizes, which are
// an eighth apart at most, and from 32 KiB on whole pages.
func allocation(n uintptr, pointers bool) int {
	const page = 8 << 10
	if pointers && n > 512 {
		n += 8 // a header that says where they are
	}
	switch {
	case n == 0:
		return 0
	case n <= 8:
		return 8
	case n <= 32<<10:
		step := max(uintptr(8), 1<<(bits.Len(uint(n-1))-1)/8)
		return int((n + step - 1) / step * step)
	default:
		return int(min((n+page-1)/page*page, math.MaxInt/2))
	}
}

// flat reports whether values refer to nothing.
func flat(t *Type) bool {
	if t.form == asUser {
		return false
	}
	switch t.rtype.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.String,
		reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return t.rtype.Len() == 0 || flat(t.elem)
	case reflect.Struct:
		if t.form == asTime {
			return false
		}
		for _, f := range t.fields {
			if !flat(f.typ) {
				return false
			}
		}
	}
	return true
}

// guarded reports whether t is made to be changed by several goroutines: it is a struct that has a field of a type from
// sync or its kin, or of a pointer to one, also within a field that is a struct or an array of such.
func guarded(t *Type) bool {
	if t.form == asUser {
		return false
	}
	if t.rtype.Kind() == reflect.Array {
		return t.rtype.Len() > 0 && (isGuard(t.elem.rtype) || guarded(t.elem))
	}
	for _, f := range t.fields {
		if isGuard(f.typ.rtype) || isGuardElsewhere(f.typ.rtype) || guarded(f.typ) {
			return true
		}
	}
	return false
}

// borrowsGuard reports whether t is a struct with a field that refers to a guard which its copies have, too: what it
// guards is not only the copy's.
func borrowsGuard(t *Type) bool {
	return slices.ContainsFunc(t.fields, func(f field) bool { return isGuardElsewhere(f.typ.rtype) })
}

// isGuard reports whether rt is a type of sync or its kin.
func isGuard(rt reflect.Type) bool {
	switch rt.PkgPath() {
	case "sync", "sync/atomic", "internal/sync", "internal/poll":
		return true
	default:
		return false
	}
}

// isGuardElsewhere reports whether an rt refers to a guard, as *sync.Mutex and sync.Locker.
func isGuardElsewhere(rt reflect.Type) bool {
	return rt.Kind() == reflect.Pointer && isGuard(rt.Elem()) || rt.Kind() == reflect.Interface && isGuard(rt)
}
