package entry

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/engine"
)

var errA, errB = errors.New("a"), errors.New("b")

// What is stored of an error says the same of each of a reader's targets, or is not for that reader.
func TestError_Read(t *testing.T) {
	both, path := fmt.Errorf("%w and %w", errA, errB), &fs.PathError{Op: "open", Path: "f", Err: fs.ErrNotExist}
	for _, test := range []struct {
		name             string
		err              error
		written, read    []error
		isFor, isExactly bool
	}{
		{"the same targets", errA, []error{errA}, []error{errA}, true, true},
		{"in another order", errA, []error{errB, errA}, []error{errA, errB}, true, true},
		{"of another variable", errA, []error{errors.New("a")}, []error{errA}, false, false},
		{"wrapped", fmt.Errorf("x: %w", errA), []error{errA}, []error{errA}, true, false},
		{"wrapped without a text of its own", fmt.Errorf("%w", errA), []error{errA}, []error{errA}, true, true},
		{"both", both, []error{errA, errB}, []error{errA, errB}, true, false},
		{"both, for one who knows one", both, []error{errA, errB}, []error{errB}, true, false},
		{"both, of one who knows one", both, []error{errA}, []error{errA, errB}, false, false},
		{"one of another type with the same text", errA, []error{errA}, []error{textError("a")}, false, false},
		{"nobody's", errA, []error{errA, errB}, []error{errB}, false, false},
		{"for one without targets", errA, []error{errA}, nil, false, false},
		{"by its method", path, []error{fs.ErrNotExist}, []error{fs.ErrNotExist}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			stored := NewErrors(test.written).Of(test.err)
			if stored == nil {
				if test.isFor {
					t.Fatal("it isn't stored")
				}
				return
			}
			reader := NewErrors(test.read)
			read := reader.Read(stored)
			if (read != nil) != test.isFor || reader.Knows(stored) != test.isFor {
				t.Fatalf("read as %v, want that it is for the reader: %v", read, test.isFor)
			}
			if read == nil {
				return
			}
			if read.Error() != test.err.Error() || test.isExactly != (read == test.read[0] || len(test.read) > 1 && read == test.read[1]) {
				t.Errorf("read as %v, want %v", read, test.err)
			}
			for _, target := range test.read {
				if errors.Is(read, target) != errors.Is(test.err, target) {
					t.Errorf("errors.Is(%v, %v) is %v", read, target, errors.Is(read, target))
				}
			}
		})
	}
	if (*Errors)(nil).Read(&Error{}) != nil {
		t.Error("one who knows no errors reads one")
	}
}

type textError string

func (e textError) Error() string { return string(e) }

// fickle is found by one target, which would find another one in what is read.
type fickle struct{ error }

func (f fickle) Is(target error) bool { return target == f.error }

// What would not be read as it was is not stored.
func TestError_NotStored(t *testing.T) {
	wide := fmt.Errorf("wide: %w", errB)
	for name, err := range map[string]error{
		"one that is found by a target which wraps another": fickle{wide},
		"one whose text panics":                             panicking{errA},
	} {
		if stored := NewErrors([]error{wide, errB, errA}).Of(err); stored != nil {
			t.Errorf("%s is stored as %v", name, stored)
		}
	}
}

type panicking struct{ error }

func (panicking) Error() string   { panic("no text") }
func (p panicking) Unwrap() error { return p.error }

// A frame has an error as it has all else; one that is cut, or says nothing, is damaged.
func TestError_Frame(t *testing.T) {
	e := Entry{flags: flagsFrame, fingerprint: 7, body: []byte("value")}
	e.Groups, e.ExpiresAt = []Generation{{"g", "id-1"}}, 12
	e.Error = NewErrors([]error{errA, errB}).Of(fmt.Errorf("x\xff: %w", errB))
	frame := e.Item().Value
	var read Entry
	if err := read.Parse(engine.Item{Flags: flagsFrame, Value: frame}); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(read.Meta, e.Meta) || string(read.body) != "value" || read.Empty || read.Negative {
		t.Errorf("read %s", cmp.Diff(e.Meta, read.Meta))
	}
	body := len(frame) - len("value")
	for n := range body {
		var cut Entry
		if err := cut.Parse(engine.Item{Flags: flagsFrame, Value: frame[:n]}); err == nil {
			t.Errorf("the first %d of %d bytes are taken for an entry", n, len(frame))
		}
	}
	for name, damaged := range map[string]*Error{
		"no target":    {Text: "x"},
		"none found":   {Text: "x", Targets: []Target{{ID: IDOfTarget(errA)}}},
		"many targets": {Text: "x", Targets: make([]Target, MaxTargets+1)},
		"a long text":  {Text: string(make([]byte, MaxErrorText+1)), Targets: []Target{{Found: true}}},
	} {
		e.Error = damaged
		if err := new(Entry).Parse(e.Item()); err == nil {
			t.Errorf("%s: it is taken for an entry", name)
		}
	}
}
