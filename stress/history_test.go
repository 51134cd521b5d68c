//go:build unix

package stress_test

import (
	"encoding/binary"
	"os"
)

// A record is one operation in the history of a run. It is written to files as it is.
type record struct {
	Kind    kind
	Outcome outcome
	Faulted bool  // the cache met a fault on the way, which the caller was not told
	Entry   int8  // which key of which function; -1 for groups
	Groups  uint8 // of InvalidateGroup: one bit for each
	Process uint8
	Client  uint8
	Call    int64 // the tick before it began
	Return  int64 // the tick after it ended
	Value   int64 // what was read, forced or set: the tick at which that was computed, or Call of the set
	Took    int64 // nanoseconds
}

type kind uint8

const (
	read kind = iota
	require
	force
	set
	invalidate
	invalidateGroup
	kinds
)

func (k kind) String() string {
	return [...]string{"read", "require", "force", "set", "invalidate", "invalidateGroup"}[k]
}

type outcome uint8

const (
	done    outcome = iota
	nothing         // RequireCache found nothing, or the function failed by itself
	left            // the caller's own context ended
	failed          // the error of an explicit operation
	forged          // a value that nobody has computed for the entry, where others may have written it
	broken          // an error that no caller should get
)

// An entry is a key of one of the functions. The functions have the same keys.
const (
	functions = 2
	keys      = 3
	entries   = functions * keys
)

// The groups, by their bits: one that all entries are in, and two that share them out.
var groupNames = []string{"all", "even", "odd"}

// groupsOf returns the bits of the groups that the entries of a key are in.
func groupsOf(key int) uint8 { return 1 | 2<<(key%2) }

// writes reports whether r, had it ended well, changes what may be read from the entry.
func (r *record) writes(entry int) bool {
	switch r.Kind {
	case invalidateGroup:
		return r.Groups&groupsOf(entry%keys) != 0
	case invalidate, set, force:
		return int(r.Entry) == entry
	default:
		return false
	}
}

// reads reports whether r returned a value.
func (r *record) reads() bool { return r.Kind <= force && r.Outcome == done }

func saveHistory(path string, h []record) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := binary.Write(f, binary.NativeEndian, h); err != nil {
		return err
	}
	return f.Close()
}

func loadHistory(path string) ([]record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h := make([]record, int(info.Size())/binary.Size(record{}))
	return h, binary.Read(f, binary.NativeEndian, h)
}
