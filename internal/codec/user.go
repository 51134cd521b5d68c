package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// A type that has a codec of the user's is encoded by that, whatever it is made of. As with marshalers, what was encoded is
// decoded at once and compared. A nil is not left to the codec.

// user gives t its codec, if it has one.
func (c *compiler) user(t *Type) bool {
	var why string
	if t.user, why = c.scope.codecs.Find(t.rtype); t.user == nil {
		if why != "" {
			t.refused = &refusal{why: why, part: t}
		}
		return false
	}
	t.form = asUser
	schema, ok, err := t.user.Schema(t.rtype)
	switch {
	case err != nil:
		t.refused = &refusal{why: "the codec " + t.user.Name + ": " + err.Error(), part: t}
	case ok:
		t.schema = "given " + schema
	default:
		t.schema = string(structure(nil, t.rtype, make(map[reflect.Type]bool)))
	}
	return true
}

// userCoders write 0 for nil, where there is one, otherwise 1, and the length of the encoding and the encoding.
func userCoders(t *Type) (encodeFunc, decodeFunc) {
	rt, user, canBeNil := t.rtype, t.user, usercodec.CanBeNil(t.rtype)
	encode := func(e *encoder, p unsafe.Pointer) error {
		e.mayDiffer = true
		v := reflect.NewAt(rt, p).Elem()
		if canBeNil {
			e.buf = appendBool(e.buf, !v.IsNil())
			if v.IsNil() {
				return nil
			}
		}
		data, err := user.Encode(v)
		if err != nil {
			return t.userFailed(err)
		}
		if err := e.room(len(data)); err != nil {
			return err
		}
		memory, err := user.Memory(data, rt)
		if err != nil {
			return t.userFailed(err)
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(len(data)))
		e.buf = append(e.buf, data...)
		e.held += boxed(uint64(len(data)))
		e.copied += boxed(memory)
		if e.unchecked {
			return nil
		}
		return t.kept(v, e.buf[len(e.buf)-len(data):])
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		if canBeNil {
			if present, err := d.flag(); err != nil || !present {
				return err
			}
		}
		n, err := d.uvarint()
		if err != nil {
			return err
		}
		data, err := d.bytes(n)
		if err != nil {
			return err
		}
		if err := d.hold(boxed(n)); err != nil {
			return err
		}
		if d.limits.Memory > 0 {
			memory, err := user.Memory(data, rt)
			if err != nil {
				return undecodablef("a value of type %v, with the codec %q: %w", rt, user.Name, errtext.Cut(err))
			}
			if err := d.copies(boxed(memory)); err != nil {
				return err
			}
		}
		v, err := user.Decode(append([]byte(nil), data...), rt)
		if err != nil {
			return undecodablef("a value of type %v, with the codec %q: %w", rt, user.Name, errtext.Cut(err))
		}
		reflect.NewAt(rt, p).Elem().Set(v)
		return nil
	}
	return encode, decode
}

// kept returns nil if data, what the codec has made of v, gives that back.
func (t *Type) kept(v reflect.Value, data []byte) error {
	back, err := t.user.Decode(append([]byte(nil), data...), t.rtype)
	if err != nil {
		return t.userFailed(err)
	}
	if err := t.user.Difference(v, back); err != nil {
		return unsupportedf("a value of type %v, with the codec %q: %w", t.rtype, t.user.Name, err)
	}
	return nil
}

// userFailed returns err, of which the user's functions may have said what is in a value.
func (t *Type) userFailed(err error) error {
	return unsupportedf("a value of type %v, with the codec %q: %w", t.rtype, t.user.Name, errtext.Cut(err))
}

// altered returns why the codec can't be right, as far as trying it with a zero value and with filled ones shows. Where one of its
// functions fails for a value, that says nothing of others.
func (t *Type) altered() string {
	for _, sample := range t.samples() {
		data, err := t.user.Encode(sample)
		if err != nil {
			continue
		}
		back, err := t.user.Decode(append([]byte(nil), data...), t.rtype)
		if err != nil {
			continue
		}
		if err := t.user.Difference(sample, back); err != nil {
			return "the codec " + t.user.Name + ": " + err.Error()
		}
	}
	return ""
}

// samples returns values of t that are not nil: one of zeros, one with the exported parts filled and, where the codec says that
// each field counts, one with all of them filled.
func (t *Type) samples() (samples []reflect.Value) {
	fills := []filling{{depth: 0}, {depth: 4}}
	if t.user.IsDeep() {
		fills = append(fills, filling{depth: 4, hidden: true})
	}
	for _, fill := range fills {
		v := reflect.New(t.rtype).Elem()
		switch t.rtype.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(t.rtype.Elem()))
			fill.set(v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(t.rtype, 0, 0))
			fill.set(v)
		case reflect.Map:
			v.Set(reflect.MakeMap(t.rtype))
			fill.set(v)
		case reflect.Func, reflect.Chan, reflect.UnsafePointer:
			return nil
		default:
			fill.set(v)
		}
		samples = append(samples, v)
	}
	return samples
}

// MayHold reports whether values of t may have one in them that the codec is for, as far as types say.
func (t *Type) MayHold(user *usercodec.Codec) bool {
	seen := make(map[*Type]bool)
	var visit func(t *Type) bool
	visit = func(t *Type) bool {
		if seen[t] {
			return false
		}
		seen[t] = true
		if t.form == asUser {
			return t.user == user
		}
		if t.rtype.Kind() == reflect.Interface {
			return user.Type().Implements(t.rtype) || user.Type().Kind() == reflect.Interface && t.rtype.Implements(user.Type())
		}
		for _, part := range t.parts {
			if visit(part) {
				return true
			}
		}
		return false
	}
	return visit(t)
}
