package decorators

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/store"
)

// The hot table serves frequent hits on values in this process's memory, without the key's text and without a
// lookup: it has references to what lookups found (store.Ref), by the bytes of the arguments.
//
// Laws 2 and 6 hold as they do for a lookup. Arguments with the same bytes make the same key and are in the
// same groups, in the store that the table is for, so what a slot refers to is what was stored under that key.
// A reference ends before anything else can be seen under the key or under that of a group, and before an
// operation that removed it returns: what the table gives, a lookup at that moment would have found.
//
// A hit by a lookup fills a slot that is empty. A caller that finds that a reference has ended empties its
// slot. A reference that has not ended is seldom replaced: calls for very many arguments would otherwise pay
// for a table that is of little use to them, while what is called for very often gets its slot soon enough.
//
// A table begins small, since most functions are called for few arguments at a time. It grows when a reference would have
// to be replaced.
//
// A function with KeyOf, ContextKey, GroupsOf, BypassIf or keyword arguments has no table, since what these make is not in the
// bytes.

const (
	fewSlots     = 8
	hotSlots     = 256
	replaceEvery = 128 // hits on other arguments
)

// A hotPlan is how the arguments of a function make bytes.
type hotPlan struct {
	arguments []hotArgument // that count in the key
	usable    bool          // equal bytes of the arguments make equal keys
	table     atomic.Pointer[hotTable]
}

// A hotArgument is an argument whose bytes determine what it is in the key.
type hotArgument struct {
	kind   reflect.Kind
	index  int     // among the parameters
	offset uintptr // in a typed call's struct of arguments
	size   uintptr
}

// A hotTable has the references for one store.
type hotTable struct {
	store *store.Store
	slots []hotSlot // fewSlots or hotSlots; none: the store has no references to the function's values
}

// slotOf returns the slot for a hash, of slots that there are.
func slotOf(slots []hotSlot, hash uint64) *hotSlot { return &slots[hash&uint64(len(slots)-1)] }

// A hotSlot is empty, or has a reference to a hit.
type hotSlot struct{ atomic.Pointer[hotHit] }

type hotHit struct {
	raw string // of the arguments
	ref *store.Ref
}

func (h *hotHit) isFor(r *raw) bool { return h.raw == string(r.text()) }

// A spot is where the results for some arguments are.
type spot struct {
	store *store.Store // nil: that isn't known
	slot  *hotSlot     // in the hot table of the store; nil: there is none
}

// planHot finds out whether the bytes of arguments determine their key. Calls are typed if they have a struct
// of arguments, which is laid out by now.
func (p *plan) planHot() {
	h := &p.hot
	h.usable = !p.keyOf.IsValid() && !p.contextKey.IsValid() && !p.groupsOf.IsValid() && !p.bypassIf.IsValid() && p.kwargs == nil
	for i := range p.params {
		prm := &p.params[i]
		arg := hotArgument{index: prm.index, offset: prm.offset}
		if prm.encoder != nil && !prm.variadic {
			arg.kind = prm.encoder.Scalar()
		}
		if p.argsType != nil {
			arg.size = p.argsType.Field(prm.index - 1).Type.Size()
		}
		switch arg.kind {
		case reflect.Invalid, reflect.Complex64, reflect.Complex128:
			h.usable = false
		}
		h.arguments = append(h.arguments, arg)
	}
}

// slots returns the slots of the table for the store, or nil if it has none.
func (h *hotPlan) slots(cache *store.Store) []hotSlot {
	if t := h.table.Load(); t != nil && t.store == cache {
		return t.slots
	}
	return nil
}

// begin makes an empty table for the store, unless there is one, if the function can have one there.
func (h *hotPlan) begin(cache *store.Store, task *store.Task) {
	if t := h.table.Load(); !h.usable || t != nil && t.store == cache {
		return
	}
	t := &hotTable{store: cache}
	if cache.Refers(task) {
		t.slots = make([]hotSlot, fewSlots)
	}
	h.table.Store(t)
}

// grow has the table of a store that has few slots replaced by one that has more, and reports whether there is one now
// that had few.
func (h *hotPlan) grow(cache *store.Store) bool {
	few := h.table.Load()
	if few == nil || few.store != cache || len(few.slots) != fewSlots {
		return false
	}
	t := &hotTable{store: cache, slots: make([]hotSlot, hotSlots)}
	for i := range few.slots {
		if hit := few.slots[i].Load(); hit != nil {
			var r raw
			r.n = copy(r.bytes[:], hit.raw)
			slotOf(t.slots, r.hash()).Store(hit)
		}
	}
	h.table.CompareAndSwap(few, t)
	return true
}

// get returns the value for the arguments, or nil.
func (s *hotSlot) get(ctx context.Context, r *raw, task *store.Task) any {
	hit := s.Load()
	if hit == nil || !hit.isFor(r) {
		return nil
	}
	value, over := hit.ref.Value(ctx, task)
	if over {
		s.CompareAndSwap(hit, nil)
	}
	return value
}

// takes reports whether a hit that was found by a lookup is to be put into the slot.
func (s *hotSlot) takes() bool {
	return s != nil && (s.Load() == nil || rand.Uint32()%replaceEvery == 0)
}

// put has the hit of a lookup for key and groups, which the arguments make, in the slot.
func (h *hotPlan) put(at spot, task *store.Task, values []reflect.Value, pointer unsafe.Pointer, key []byte, groups *store.Groups) {
	var r raw
	hit := at.slot.Load()
	if !h.read(&r, values, pointer) || hit != nil && hit.isFor(&r) {
		return
	}
	if hit != nil && h.grow(at.store) {
		return // it has a slot with the next hit
	}
	if ref := at.store.Ref(key, groups, task); ref != nil {
		at.slot.CompareAndSwap(hit, &hotHit{string(r.text()), ref})
	}
}

// raw are the bytes of a call's arguments: a number has eight, before those of a string stands how many
// there are. So for one function different arguments have different bytes.
type raw struct {
	bytes [maxRaw]byte // on the stack: nothing that it is handed to keeps it
	n     int
}

// maxRaw is no more than a byte can count.
const maxRaw = 64

func (r *raw) text() []byte { return r.bytes[:r.n] }

// hash mixes the bytes in a way of this process's own: nobody can choose arguments that share a slot. A seed that is only
// mixed in would not do, since a product with a number that is known carries some differences along, whatever the seed.
func (r *raw) hash() uint64 { return r.hashWith(hotSeed, hotFactor) }

var hotSeed, hotFactor = rand.Uint64(), rand.Uint64() | 1

func (r *raw) hashWith(seed, factor uint64) uint64 {
	h := seed
	for i := 0; i < r.n; i += 8 { // behind the last there are zeros
		hi, lo := bits.Mul64(h^binary.NativeEndian.Uint64(r.bytes[i:]), factor)
		h = hi ^ lo
	}
	return h
}

// read fills in r, which is zero, with the bytes of the arguments of a call by reflection or of a typed one,
// and reports whether there was room. It does not retain pointer.
func (h *hotPlan) read(r *raw, values []reflect.Value, pointer unsafe.Pointer) bool {
	if pointer != nil {
		return h.readStruct(r, pointer)
	}
	return h.readValues(r, values)
}

func (h *hotPlan) readStruct(r *raw, pointer unsafe.Pointer) bool {
	ok := true
	for i := range h.arguments {
		arg := &h.arguments[i]
		switch at := unsafe.Add(pointer, arg.offset); {
		case arg.kind == reflect.String:
			ok = r.string(*(*string)(at)) && ok
		case arg.size == 8:
			ok = r.number(*(*uint64)(at)) && ok
		default:
			var n uint64
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&n)), arg.size), unsafe.Slice((*byte)(at), arg.size))
			ok = r.number(n) && ok
		}
	}
	return ok
}

func (h *hotPlan) readValues(r *raw, values []reflect.Value) bool {
	ok := true
	for i := range h.arguments {
		arg := &h.arguments[i]
		switch v := values[arg.index]; arg.kind {
		case reflect.String:
			ok = r.string(v.String()) && ok
		case reflect.Bool:
			var bit uint64
			if v.Bool() {
				bit = 1
			}
			ok = r.number(bit) && ok
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			ok = r.number(uint64(v.Int())) && ok
		case reflect.Float32, reflect.Float64:
			ok = r.number(math.Float64bits(v.Float())) && ok
		default:
			ok = r.number(v.Uint()) && ok
		}
	}
	return ok
}

func (r *raw) number(n uint64) bool {
	if r.n+8 > maxRaw {
		return false
	}
	binary.NativeEndian.PutUint64(r.bytes[r.n:], n)
	r.n += 8
	return true
}

func (r *raw) string(s string) bool {
	if r.n+1+len(s) > maxRaw {
		return false
	}
	r.bytes[r.n] = byte(len(s))
	r.n += 1 + copy(r.bytes[r.n+1:], s)
	return true
}
