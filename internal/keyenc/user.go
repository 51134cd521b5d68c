package keyenc

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// A type that has a codec of the user's is rendered as the text that this gives, whatever it is made of: ('text'), and (None) for
// nil. Attributes come before that, and its own CacheKey before the codec of an interface.

// userText makes n a node of a type that has a codec, and reports whether that is so.
func (c *compiler) userText(n *node, at trail) (ok bool, err error) {
	t := n.typ
	if t.Kind() == reflect.Interface || t == timeType {
		return false, nil
	}
	if _, listed := c.scope.attrs[pointee(t)]; listed {
		return false, nil
	}
	user, why := c.scope.codecs.Find(t)
	switch {
	case why != "":
		return false, at.refused(t, why)
	case user == nil, user.Type() != t && namesItself(pointee(t)):
		return false, nil
	}
	canBeNil := usercodec.CanBeNil(t)
	n.asText, n.user, n.named, n.name = true, user, true, EscapeName(t.String())
	n.fallback, n.tuple = typed, false
	n.body = func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
		v := reflect.NewAt(t, p).Elem()
		if canBeNil && v.IsNil() {
			return append(dst, "(None)"...), nil
		}
		text, err := user.Key(v)
		if err != nil {
			return dst, &textError{
				typ: TypeName(t), how: fmt.Sprintf("the codec %q fails with it", user.Name),
				said: fmt.Sprintf("the codec %q: %v", user.Name, errtext.Cut(err)), err: err,
			}
		}
		return appendQuoted(dst, text, w)
	}
	c.flat = false
	return true, nil
}

// pointee returns what t points at, or t itself if it is not a pointer.
func pointee(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// ownUser has the value at p be a copy that its codec makes, unless that fails.
func ownUser(user *usercodec.Codec, t reflect.Type, p unsafe.Pointer) bool {
	v := reflect.NewAt(t, p).Elem()
	if usercodec.IsNil(v) {
		return true
	}
	c, err := user.Clone(v)
	if err != nil {
		return false
	}
	v.Set(c)
	return true
}
