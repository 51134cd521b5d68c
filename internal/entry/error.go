package entry

import (
	"context"
	"crypto/sha256"
	"errors"
	"reflect"

	"github.com/cacheutils/cacheutils/internal/typeid"
)

// A function may return an error with its results that counts as one of them: if errors.Is finds one of its targets in it. Such
// an error is stored with the value. What is kept of it is its text, and of each target whether errors.Is has found it. A target is
// known by its type and its text, which are the same in every process; its place among others isn't.
//
// Who reads the entry gets an error of that text in which errors.Is finds the reader's targets as it did in the first one. So
// the writer has to have looked for each of the reader's targets, and to have found one of them: otherwise the entry is not
// for that reader, who may be of a version of the program with other targets, or with none.

// An Error is what is stored of an error.
type Error struct {
	Text    string
	Targets []Target // that were looked for
}

// A Target is one of the errors that were looked for.
type Target struct {
	ID    TargetID
	Found bool
}

// A TargetID is a part of the sha256 of an error's type and text.
type TargetID [8]byte

const (
	// MaxTargets is how many targets there may be.
	MaxTargets = 100
	// MaxErrorText is how many bytes the text of an error may have that is stored.
	MaxErrorText = 64 << 10
)

// IDOfTarget returns the id of a target. Two that have one can't be told apart when they are stored.
func IDOfTarget(target error) (id TargetID) {
	sum := sha256.Sum256([]byte(typeName(reflect.TypeOf(target)) + "\x00" + target.Error()))
	copy(id[:], sum[:])
	return id
}

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		return "*" + typeName(t.Elem())
	}
	if path, name := typeid.Of(t); name != "" {
		return path + "." + name
	}
	return t.String()
}

// Errors are the targets of one function.
type Errors struct {
	targets []error
	ids     []TargetID
}

// NewErrors returns the Errors with these targets, of which each is found in itself and none has the id of another.
func NewErrors(targets []error) *Errors {
	e := &Errors{targets: targets}
	for _, target := range targets {
		e.ids = append(e.ids, IDOfTarget(target))
	}
	return e
}

// Of returns what is to be stored of err, or nil: if none of the targets is found in it, if it comes of a context's end, if it is
// too long, or if a reader would not find the same targets. Methods of err that panic count as none.
func (e *Errors) Of(err error) (stored *Error) {
	done := false
	defer func() {
		if !done {
			_ = recover()
			stored = nil
		}
	}()
	stored = e.of(err)
	done = true
	return stored
}

func (e *Errors) of(err error) *Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	stored, any := &Error{}, false
	for i, target := range e.targets {
		found := errors.Is(err, target)
		any = any || found
		stored.Targets = append(stored.Targets, Target{e.ids[i], found})
	}
	if !any {
		return nil
	}
	if stored.Text = err.Error(); len(stored.Text) > MaxErrorText {
		return nil
	}
	read := e.Read(stored)
	for i, target := range e.targets {
		if errors.Is(read, target) != stored.Targets[i].Found {
			return nil
		}
	}
	return stored
}

// Read returns the error that was stored, or nil if that is not for a reader with these targets. e may be nil.
func (e *Errors) Read(stored *Error) error {
	if !e.Knows(stored) {
		return nil
	}
	read := &readError{text: stored.Text}
	for i, id := range e.ids {
		if t := stored.target(id); t.Found {
			read.targets = append(read.targets, e.targets[i])
		}
	}
	if len(read.targets) == 1 && read.targets[0].Error() == read.text {
		return read.targets[0]
	}
	return read
}

// Knows reports whether what was stored is for a reader with these targets. e may be nil.
func (e *Errors) Knows(stored *Error) bool {
	if e == nil {
		return false
	}
	any := false
	for _, id := range e.ids {
		target := stored.target(id)
		if target == nil {
			return false
		}
		any = any || target.Found
	}
	return any
}

func (e *Error) target(id TargetID) *Target {
	for i := range e.Targets {
		if e.Targets[i].ID == id {
			return &e.Targets[i]
		}
	}
	return nil
}

// A readError is an error that was stored.
type readError struct {
	text    string
	targets []error // that errors.Is has found
}

func (e *readError) Error() string   { return e.text }
func (e *readError) Unwrap() []error { return e.targets }

// memory returns about how many bytes the error takes.
func (e *Error) memory() int {
	if e == nil {
		return 0
	}
	return 64 + len(e.Text) + 16*len(e.Targets)
}
