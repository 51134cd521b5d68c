package cachekey

import (
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// A Keyer names itself in keys: its rendering is its type and the text that CacheKey returns,
// like geo.City('it/42'). Values for which the cached function has different results must return
// different texts. CacheKey may be declared for the type or for its pointer; a method that is only
// promoted from an embedded field names that field, not the whole. It is called by any number of
// goroutines.
type Keyer interface {
	CacheKey() string
}

// Kwargs are arguments by name, rendered as {'foo':'hello'} and sorted by name. As the last
// parameter of a decorated function they are like Python's keyword arguments; without any, the key is
// that of the other arguments.
type Kwargs map[string]any

// A Tuple is rendered as a Python tuple, (1,'a') or (1,). A []any is a list.
type Tuple []any

// Args renders an argument list, each value as Repr does:
//
//	('test',)             one positional argument
//	(2,){'foo':'hello'}   positional and by name
//	{'foo':'hello'}       by name only
//	                      the empty string if there are neither
//
// It fails as Repr does.
func Args(args []any, kwargs Kwargs) (string, error) {
	dst := make([]byte, 0, 64)
	var err error
	if len(args) > 0 {
		if dst, err = keyenc.AppendTuple(dst, args); err != nil {
			return "", err
		}
	}
	if len(kwargs) > 0 {
		if dst, err = keyenc.AppendWith(dst, 0, map[string]any(kwargs), nil); err != nil {
			return "", err
		}
	}
	return string(dst), nil
}

// Repr renders one value as it is rendered behind an interface, so that values of different
// types never share a text: Repr(1) is 1, Repr(int64(1)) is int64(1).
//
// The error wraps cacheutils.ErrInvalidKey. It is non-nil if v is, or has a part, that can't be in a key (see the
// doc of the package), or if a CacheKey or MarshalText method in it fails or panics.
func Repr(v any) (string, error) {
	dst := make([]byte, 0, 64)
	var err error
	if tuple, ok := v.(Tuple); ok && tuple != nil {
		dst, err = keyenc.AppendTuple(dst, tuple) // the usual key of package cache, without looking up its type
	} else {
		dst, err = keyenc.Append(dst, v)
	}
	if err != nil {
		return "", err
	}
	return string(dst), nil
}

// Build puts a key together from a function's name and its rendered arguments:
// [cached]name(args).
func Build(name, args string) string {
	return errtext.FunctionMark + name + "(" + args + ")"
}
