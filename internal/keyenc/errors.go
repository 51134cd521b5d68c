package keyenc

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/cacheutils/cacheutils"
)

// A TypeError says that values of a type can't be in a key. It wraps
// cacheutils.ErrInvalidKey.
type TypeError struct {
	Root reflect.Type // the type that was to be rendered
	Path string       // from Root to the offending part, like Conn.Notify or Filters[].Match; empty for Root itself
	Type reflect.Type // the type of that part: a channel, a func or an unsafe.Pointer
}

// Error names the type and the way to it, and says what to change.
func (e *TypeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%v: type %s can't be in a key", cacheutils.ErrInvalidKey, TypeName(e.Type))
	}
	return fmt.Sprintf("%v: %s of %s has type %s, which can't be in a key; leave the field out with the tag `cachekey:\"-\"`, or give its struct a CacheKey method",
		cacheutils.ErrInvalidKey, e.Path, TypeName(e.Root), TypeName(e.Type))
}

// Unwrap returns cacheutils.ErrInvalidKey.
func (e *TypeError) Unwrap() error { return cacheutils.ErrInvalidKey }

// invalid returns an error that wraps cacheutils.ErrInvalidKey.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{cacheutils.ErrInvalidKey}, args...)...)
}

// A trail leads from a type to one of its parts.
type trail struct {
	root  reflect.Type
	steps []string
}

func (p trail) field(name string) trail {
	if len(p.steps) > 0 {
		name = "." + name
	}
	return p.step(name)
}

// step clips the capacity to the length, so that no two trails share an array.
func (p trail) step(s string) trail {
	return trail{p.root, append(p.steps[:len(p.steps):len(p.steps)], s)}
}

func (p trail) String() string { return strings.Join(p.steps, "") }
