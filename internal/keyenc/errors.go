package keyenc

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A TypeError says that values of a type can't be in a key. It wraps
// cacheutils.ErrInvalidKey.
type TypeError struct {
	Root reflect.Type // the type that was to be rendered
	Path string       // from Root to the offending part, like Conn.Notify or Filters[].Match; empty for Root itself, or what it points at
	Type reflect.Type // the type of that part
	Why  string       // what is wrong with it; empty for a channel, a func and an unsafe.Pointer
}

// Error names the type and the way to it, and says what to change.
func (e *TypeError) Error() string {
	because := ""
	if e.Why != "" {
		because = ": " + e.Why
	}
	if e.Path == "" {
		remedy := cmp.Or(e.Remedy(), "use what stands for it, such as a name or an id")
		return fmt.Sprintf("%v: type %s can't be in a key%s; %s", cacheutils.ErrInvalidKey, sourceName(e.Root), because, remedy)
	}
	return fmt.Sprintf("%v: %s of %s has type %s, which can't be in a key%s; %s",
		cacheutils.ErrInvalidKey, e.Path, sourceName(e.Root), sourceName(e.Type), because, e.Remedy())
}

// Reason says what of Root can't be in a key, and why. It is empty where the name of Root says it all.
func (e *TypeError) Reason() string {
	switch {
	case e.Path == "":
		return e.Why
	case e.Why == "":
		return fmt.Sprintf("%s has type %s", e.Path, e.Type)
	default:
		return fmt.Sprintf("%s has type %s, and %s", e.Path, e.Type, e.Why)
	}
}

// Remedy says what the author of the types can do; empty: nothing.
func (e *TypeError) Remedy() string {
	var remedies []string
	if e.Path != "" {
		remedies = append(remedies, "leave the field out with the tag `cachekey:\"-\"`")
	}
	switch {
	case e.Why == whyText:
		remedies = append(remedies, "give the type an UnmarshalText or a CacheKey method")
	case e.Why == whyProtobuf:
		remedies = append(remedies, `import _ "github.com/cacheutils/cacheutils/codecs/protobuf" in the package that decorates the function`)
	case e.Why == whyPointer:
		remedies = append(remedies, "have a pointer in its place")
	case e.Path != "":
		remedies = append(remedies, "give its struct a CacheKey method, or have a codec name it (codecs.Register, or the option Codec)")
	}
	return strings.Join(remedies, ", or ")
}

// A textError says that a method of a type has not made a text of a value, or not made a value of it again. What the method says
// may have the value in it.
type textError struct {
	typ, how string
	said     string
	err      error // that the method has returned, or nil
}

func (e *textError) Error() string { return e.with(e.said) }

func (e *textError) with(how string) string {
	return fmt.Sprintf("%v: the text of a value of type %s: %s", cacheutils.ErrInvalidKey, e.typ, how)
}

func (e *textError) Unwrap() []error {
	if e.err == nil {
		return []error{cacheutils.ErrInvalidKey}
	}
	return []error{cacheutils.ErrInvalidKey, e.err}
}

// Discreet returns err, which says why a key can't be made, without what methods of the values in it have said: that may be what
// is not to be read in a log.
func Discreet(err error) error {
	if e, ok := err.(*textError); ok {
		return errtext.Replace(err, e.with(e.how))
	}
	return err
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

// refused is the error for the part of type t at the end of the trail.
func (p trail) refused(t reflect.Type, why string) error {
	return &TypeError{Root: p.root, Path: p.String(), Type: t, Why: why}
}
