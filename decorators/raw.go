package decorators

import (
	"encoding/binary"
	"math"
	"math/bits"
	"reflect"
	"unsafe"
)

// raw are the bytes of a call's arguments: a number has eight, before those of a string stands how many
// there are. So for one function different arguments have different bytes.
type raw struct {
	bytes [maxRaw]byte // on the stack: nothing that it is handed to keeps it
	n     int
}

// maxRaw is no more than a byte can count.
const maxRaw = 64

func (r *raw) text() []byte { return r.bytes[:r.n] }

// hash mixes the bytes. Whoever makes arguments that share a slot gains nothing.
func (r *raw) hash() uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for i := 0; i < r.n; i += 8 { // behind the last there are zeros
		hi, lo := bits.Mul64(h^binary.NativeEndian.Uint64(r.bytes[i:]), 0xd6e8feb86659fd93)
		h = hi ^ lo
	}
	return h
}

// read fills in r, which is zero, and tells whether there was room. The arguments are either values
// or fields, as in look.
func (r *raw) read(params []param, values []reflect.Value, fields unsafe.Pointer) bool {
	if fields != nil {
		return r.readFields(params, fields)
	}
	return r.readValues(params, values)
}

func (r *raw) readFields(params []param, fields unsafe.Pointer) bool {
	ok := true
	for i := range params {
		prm := &params[i]
		switch at := unsafe.Add(fields, prm.offset); {
		case prm.kind == reflect.String:
			ok = r.string(*(*string)(at)) && ok
		case prm.size == 8:
			ok = r.number(*(*uint64)(at)) && ok
		default:
			var n uint64
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&n)), prm.size), unsafe.Slice((*byte)(at), prm.size))
			ok = r.number(n) && ok
		}
	}
	return ok
}

func (r *raw) readValues(params []param, values []reflect.Value) bool {
	ok := true
	for i := range params {
		prm := &params[i]
		switch v := values[prm.index]; prm.kind {
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
