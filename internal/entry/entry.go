// Package entry is what is stored under a key: a value with its metadata, and how that becomes an item of an
// engine and a value again. It is pure: it has no context, does no I/O, and knows no time but an argument.
package entry

import (
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
)

// An Entry is what is found or stored under a key. It is one of five:
//
//   - a number of a predeclared integer type, as decimal text with memcached's flags 2, as
//     Django writes it: Incr works on it. Bits that Django ignores say which type;
//   - a live value, in engines that hold those, where nobody can change it or its user said
//     Shared: a pointer to a copy of its own, with its metadata if there is any;
//   - a frame: metadata and the encoded value, see frame.go;
//   - a frame with nothing but metadata: somebody's lease, or what is left of one, or a negative entry;
//   - a Mark, in engines that hold live values: somebody's lease.
//
// Text with flags 16, as Django writes str, is read too.
type Entry struct {
	Meta
	Cost int    // in bytes, of a live value without its metadata, otherwise once Item has been called
	CAS  uint64 // as it was read

	// MaxDecoded is how many bytes of memory the values of a frame may still take, with what they were compressed from; 0:
	// as many as its length allows.
	MaxDecoded uint64

	// Hidden is the type of a part of a live value that is not in Cost, see codec.Type.Size; nil: there is none. It is
	// known once the value is sealed.
	Hidden reflect.Type

	flags       uint32
	live        any    // a pointer to the value; not nil for live values only
	body        []byte // the number, the text, or the frame's payload
	fingerprint uint64 // of the type of a frame's value, or of the value that the holder of a lease computes
	compressed  bool   // of a frame's payload
	value       any    // what Pick has decoded for its reader
	tried       bool   // it has tried to
	unknown     bool   // another version of the program can decode the value, but not this process

	others []Entry // what other versions of the program have in the frame, see versions.go
}

const (
	flagsNumber = 2 // | kind of integer << kindShift; 0 stands for int
	kindShift   = 8
	flagsFrame  = 0xCA << 16
)

// FlagsText are the flags of text, as Django writes str.
const FlagsText = 16

// FlagsSealed are the flags of what is sealed with a secret, see package sealed. To a reader who gets such an item, and
// not what is in it, it is damaged.
const FlagsSealed = 0xCB << 16

// A noValue takes the place of the live value in an entry without one.
type noValue struct{}

// A Mark is a lease that is on no value, in this process's memory. It is a live value that is its own metadata.
type Mark interface{ Meta() Meta }

// SetMark puts m in the place of an entry without a value.
func (e *Entry) SetMark(m Mark) { e.live = m }

// IsPlain reports whether e has no room for metadata, as a number and a text, and whatever is not of this library.
func (e *Entry) IsPlain() bool { return e.live == nil && e.flags != flagsFrame }

// Undecodable returns an error that matches cacheutils.ErrUndecodable.
func Undecodable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", cacheutils.ErrUndecodable, fmt.Sprintf(format, args...))
}

// Stamp notes on e when it ends, counted from now: fresh for timeout, then stale for as long.
// It returns how long the engine is to keep it.
func (e *Entry) Stamp(now time.Time, timeout, stale time.Duration) time.Duration {
	e.FreshUntil, e.ExpiresAt = 0, 0
	if !e.IsPlain() {
		e.StoredAt = now.UnixMilli()
	}
	if timeout == cacheutils.Forever {
		return cacheutils.Forever
	}
	if stale > 0 {
		e.FreshUntil = now.Add(timeout).UnixMilli()
	}
	if timeout > cacheutils.Forever-stale {
		return cacheutils.Forever
	}
	if !e.IsPlain() {
		e.ExpiresAt = now.Add(timeout + stale).UnixMilli()
	}
	return timeout + stale
}
