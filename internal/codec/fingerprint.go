package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"

	"github.com/cacheutils/cacheutils/internal/typeid"
)

// wireVersion is part of every fingerprint: bytes written by another version of the encoding are
// bytes of another type.
const wireVersion = "codec 1"

// Fingerprint returns a number that stands for the type with all its parts: the names and
// package paths of types, kinds, lengths, and the fields in their order, all the way down. It is
// the same in every process, build and machine. Renaming, reordering, retyping, adding or
// removing anything changes it; struct tags of named types don't count, as they change nothing. A type that has a codec of
// the user's has the name and the schema of that in the place of its parts.
//
// It is made of the first eight bytes of a SHA-256.
func (t *Type) Fingerprint() uint64 {
	if t.any != nil {
		return t.any.Fingerprint()
	}
	t.hashing.Do(func() {
		d := description{seen: make(map[*Type]int)}
		d.text(wireVersion)
		d.describe(t)
		sum := sha256.Sum256(d.buf)
		t.fingerprint = binary.BigEndian.Uint64(sum[:])
	})
	return t.fingerprint
}

// A description is a text from which a type could be rebuilt. Each type is written where it
// occurs first; after that its number stands for it, which also ends recursion.
type description struct {
	buf  []byte
	seen map[*Type]int
}

func (d *description) text(s string) {
	d.number(len(s))
	d.buf = append(d.buf, s...)
}

func (d *description) number(n int) {
	d.buf = binary.AppendUvarint(d.buf, uint64(n))
}

func (d *description) flag(b bool) {
	d.buf = appendBool(d.buf, b)
}

func (d *description) describe(t *Type) {
	if n, ok := d.seen[t]; ok {
		d.text("#")
		d.number(n)
		return
	}
	d.seen[t] = len(d.seen)
	rt := t.rtype
	d.text(rt.Kind().String())
	d.text(typeid.Package(rt.PkgPath()))
	d.text(typeid.Qualify(rt.Name()))
	d.number(int(t.form))
	switch t.form {
	case asTime:
		return
	case asUser:
		d.text(t.user.Name)
		d.text(t.schema)
		return
	}
	switch rt.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface:
		d.text(rt.String())
	case reflect.Array:
		d.number(rt.Len())
		d.describe(t.elem)
	case reflect.Slice, reflect.Pointer:
		d.describe(t.elem)
	case reflect.Map:
		d.describe(t.key)
		d.describe(t.elem)
	case reflect.Struct:
		d.number(len(t.fields))
		for i, f := range t.fields {
			d.text(f.name)
			d.flag(f.embedded)
			sf := rt.Field(i)
			d.text(typeid.Package(sf.PkgPath))
			if rt.Name() == "" {
				d.text(string(sf.Tag)) // distinguishes types that have no name
			}
			d.describe(f.typ)
		}
	}
}

// structure appends what rt is made of, tags included, which its codec may heed. Of types whose package is of the standard
// library, as are those of other paths without a dot, only exported fields count: others differ by release and machine.
func structure(dst []byte, rt reflect.Type, seen map[reflect.Type]bool) []byte {
	dst = fmt.Appendf(dst, "(%s %q %q", rt.Kind(), typeid.Package(rt.PkgPath()), typeid.Qualify(rt.Name()))
	if rt.Name() == "" || !seen[rt] {
		seen[rt] = true
		dst = appendParts(dst, rt, seen)
	}
	return append(dst, ')')
}

func appendParts(dst []byte, rt reflect.Type, seen map[reflect.Type]bool) []byte {
	switch rt.Kind() {
	case reflect.Func, reflect.Chan, reflect.Interface:
		return append(dst, rt.String()...)
	case reflect.Array:
		return structure(strconv.AppendInt(dst, int64(rt.Len()), 10), rt.Elem(), seen)
	case reflect.Slice, reflect.Pointer:
		return structure(dst, rt.Elem(), seen)
	case reflect.Map:
		return structure(structure(dst, rt.Key(), seen), rt.Elem(), seen)
	case reflect.Struct:
		for i := range rt.NumField() {
			f := rt.Field(i)
			if !f.IsExported() && isStandard(rt) {
				continue
			}
			dst = fmt.Appendf(dst, "%q %t %q", f.Name, f.Anonymous, f.Tag)
			dst = structure(dst, f.Type, seen)
		}
	}
	return dst
}
