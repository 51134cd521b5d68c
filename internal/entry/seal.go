package entry

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// A Sealer makes entries for one store.
type Sealer struct {
	Live          bool // the engine holds live values
	CompressAbove int  // bytes above which encoded values are compressed; negative: never

	// MaxDecoded is how many bytes of memory an encoded value may take when it is read, with what it was compressed from; 0:
	// as many as its length allows. Entries are read within it, and what would exceed it isn't stored.
	MaxDecoded uint64
}

// admits returns nil if readers with that sealer decode what needs that.
func (s Sealer) admits(t *codec.Type, needs codec.Needs) error {
	switch {
	case needs.Foreign != nil:
		return fmt.Errorf("%w: encode a value of type %s: it has a value of type %s behind an interface, which is none of those that it may have",
			cacheutils.ErrUnsupportedValue, t.Type(), needs.Foreign)
	case needs.Memory > s.most():
		return fmt.Errorf("%w: encode a value of type %s: it takes %d bytes of memory when it is read, more than max_decoded_size, %d",
			cacheutils.ErrUnsupportedValue, t.Type(), needs.Memory, s.MaxDecoded)
	default:
		return nil
	}
}

// most returns MaxDecoded as a number to compare with.
func (s Sealer) most() uint64 {
	if s.MaxDecoded == 0 {
		return math.MaxUint64
	}
	return s.MaxDecoded
}

// HoldsLive reports whether values of t are kept as they are. shared says that nobody changes them.
func (s Sealer) HoldsLive(t *codec.Type, shared bool) bool {
	return s.Live && (shared || t.Shareable())
}

// Seal makes the entry that holds the value that p, a pointer to a t, points at. A live value
// keeps p, which nobody else may be using yet, and gets strings of its own, as codec.Type.Detach says. payload is the
// encoded value, or zero when that isn't known yet. A value that readers with the same MaxDecoded, of the same type, would refuse
// is an error that matches cacheutils.ErrUnsupportedValue.
func (s Sealer) Seal(check Check, t *codec.Type, p any, shared bool, payload Payload) (Entry, error) {
	e := Entry{Meta: Meta{Check: check}}
	if s.HoldsLive(t, shared) {
		at := pointer(p)
		t.Detach(at)
		e.live = p
		e.Cost, e.Hidden = t.Size(at)
		return e, nil
	}
	if payload.Data == nil {
		var err error
		if payload, err = Encode(nil, t, p); err != nil {
			return e, err
		}
	}
	if err := s.admits(t, payload.Needs); err != nil {
		return e, err
	}
	size := len(payload.Data)
	e.flags, e.fingerprint, e.body = flagsFrame, t.Fingerprint(), payload.Data
	if s.CompressAbove >= 0 && size > s.CompressAbove && payload.Needs.Memory+uint64(size) <= s.most() {
		if small := compress(payload.Data); len(small) < size {
			e.body, e.compressed = small, true
		}
	}
	return e, nil
}

// SealPlain is Seal for the values of the low-level API: whole numbers stay text, unless the
// key was shortened or is in a group, of which text could say nothing.
func (s Sealer) SealPlain(check Check, grouped bool, t *codec.Type, p any) (Entry, error) {
	kind := t.Type().Kind()
	if integers[kind] != t.Type() || check != (Check{}) || grouped {
		return s.Seal(check, t, p, false, Payload{})
	}
	v := reflect.ValueOf(p).Elem()
	e := Entry{flags: flagsNumber}
	if v.CanInt() {
		e.body = strconv.AppendInt(nil, v.Int(), 10)
	} else {
		e.body = strconv.AppendUint(nil, v.Uint(), 10)
	}
	if kind != reflect.Int {
		e.flags |= uint32(kind) << kindShift
	}
	return e, nil
}

// Tombstone returns an entry for values of t that counts for nobody.
func (s Sealer) Tombstone(check Check, t *codec.Type) Entry {
	e := Entry{flags: flagsFrame, fingerprint: t.Fingerprint(), Meta: Meta{Check: check, Empty: true}}
	if s.Live {
		e.live = noValue{} // it needs no frame
	}
	return e
}

// Negative returns the entry that says that there is no value of t for a key.
func (s Sealer) Negative(check Check, t *codec.Type) Entry {
	e := s.Tombstone(check, t)
	e.Meta.Negative = true
	return e
}
