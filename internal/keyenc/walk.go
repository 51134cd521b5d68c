package keyenc

import (
	"reflect"
	"unsafe"
)

// A walk is the path from the value that is rendered down to the current part. Only pointers, slices and maps
// can lead back to where the walk came from, so each of them enters it.
//
// Almost no value is deep: the first levels are only counted. From there on, the walk
// records what it is inside of and fails when it reaches one of those again. It removes
// them when it leaves, so that what is shared without a cycle is rendered each time.
//
// What is shared may make the text of a small value endless, so texts are bounded. The length is checked wherever
// something begins that the caller's memory doesn't bound by itself: at each pointer, at each element and entry, and
// before a long text is rendered.
type walk struct {
	depth int
	start int    // where the text begins in what is appended to
	deep  *depth // nil until depth passes trackedFrom, or there is a map

	secrets *Secrets // how a cachekey.Secret is rendered
}

// A depth is what is known of a walk that is deep, or inside a map.
type depth struct {
	maps   int // that were rendered
	inside map[visit]struct{}
	copied int // the bytes of maps' texts that were put in order
}

type visit struct {
	p   unsafe.Pointer
	len int
	typ reflect.Type
}

// MaxText is how long the text of a value, or of all arguments of a call, may be, and how long that of all long Secrets in one value.
const MaxText = 16 << 20

const (
	trackedFrom = 32
	maxDepth    = 10_000       // keeps the goroutine's stack far from its limit
	maxMaps     = 256 << 10    // inside one, that one included: each takes far longer than its text lets expect
	maxCopied   = 16 * MaxText // the text of a map within others is copied at each level
)

// walkFrom returns the walk of a value in a text that begins there.
func walkFrom(start int, s *Secrets) walk { return walk{start: start, secrets: s} }

// room returns an error if there is no room for n more bytes behind dst.
func (w walk) room(dst []byte, n int) error {
	if len(dst)-w.start > MaxText-n {
		return errTooLong
	}
	return nil
}

var errTooLong = invalid("the text of a key would be longer than %d MiB", MaxText>>20)

// enter returns the walk inside of v, whose text is appended to dst.
func (w walk) enter(dst []byte, v visit) (walk, error) {
	if err := w.room(dst, 0); err != nil {
		return w, err
	}
	w.depth++
	if w.depth <= trackedFrom {
		return w, nil
	}
	if w.depth > maxDepth {
		return w, invalid("a value is nested deeper than %d levels", maxDepth)
	}
	if w.deep == nil {
		w.deep = new(depth)
	}
	if w.deep.inside == nil {
		w.deep.inside = make(map[visit]struct{})
	}
	if _, ok := w.deep.inside[v]; ok {
		return w, invalid("a value of type %s contains itself", TypeName(v.typ))
	}
	w.deep.inside[v] = struct{}{}
	return w, nil
}

// leave undoes enter(v).
func (w walk) leave(v visit) {
	if w.deep != nil {
		delete(w.deep.inside, v)
	}
}

// enterMap is enter for a map.
func (w walk) enterMap(dst []byte, v visit) (walk, error) {
	if w.deep == nil {
		w.deep = new(depth)
	}
	if w.deep.maps++; w.deep.maps > maxMaps {
		return w, invalid("a value with more than %d maps in it", maxMaps)
	}
	return w.enter(dst, v)
}

// copies counts n bytes of a map that are copied, and fails when that takes too long.
func (w walk) copies(n int) error {
	if w.deep.copied += n; w.deep.copied > maxCopied {
		return errTooLong
	}
	return nil
}
