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
type walk struct {
	depth  int
	inside map[visit]struct{} // nil until depth passes trackedFrom
}

type visit struct {
	p   unsafe.Pointer
	len int
	typ reflect.Type
}

const (
	trackedFrom = 32
	maxDepth    = 10_000 // keeps the goroutine's stack far from its limit
)

// enter returns the walk inside of v.
func (w walk) enter(v visit) (walk, error) {
	w.depth++
	if w.depth <= trackedFrom {
		return w, nil
	}
	if w.depth > maxDepth {
		return w, invalid("a value is nested deeper than %d levels", maxDepth)
	}
	if w.inside == nil {
		w.inside = make(map[visit]struct{})
	}
	if _, ok := w.inside[v]; ok {
		return w, invalid("a value of type %s contains itself", TypeName(v.typ))
	}
	w.inside[v] = struct{}{}
	return w, nil
}

// leave undoes enter(v).
func (w walk) leave(v visit) {
	if w.inside != nil {
		delete(w.inside, v)
	}
}
