package entry

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A frame is, in this order: two bytes that say that it is one, how many sections it has besides the first, the length
// of each of those, and the sections. A section is what one version of a program has stored, see versions.go: a byte of
// bits, the fingerprint of the value's type, what the bits say is on the metadata, and the payload, which reaches to the
// end. Numbers are big-endian, lengths and times varints.
const (
	frameMagic  = 0xCA
	frameFormat = 3
)

// The bits of a section.
const (
	bitCompressed = 1 << iota // the payload is compressed
	bitCheck                  // 16 bytes of the sha256 of a shortened key
	bitTimes                  // StoredAt, FreshUntil, ExpiresAt
	bitGroups                 // how many, and of each its name and generation
	bitHeld                   // Holder, HeldUntil
	bitRetry                  // Failures, RetryAt
	bitEmpty                  // no payload
	bitOutcome                // with bitEmpty: the function has nothing; otherwise it has returned an error with the value: its text and targets

	allBits = 1<<iota - 1
)

// MaxGroups is how many groups an entry can be in.
const MaxGroups = 1000

// MaxUnasked is in how many groups more than its reader names an entry can be. It bounds what a frame can make a reader ask
// for. What is in this process's memory nobody else can have written, and there it doesn't hold.
const MaxUnasked = 16

func (e *Entry) frame() []byte {
	size := 64 + len(e.body)
	var others [maxOthers][]byte
	for i := range e.others {
		others[i] = e.others[i].appendSection(nil)
		size += len(others[i])
	}
	frame := append(make([]byte, 0, size), frameMagic, frameFormat, byte(len(e.others)))
	for _, other := range others[:len(e.others)] {
		frame = binary.AppendUvarint(frame, uint64(len(other)))
	}
	frame = e.appendSection(frame)
	for _, other := range others[:len(e.others)] {
		frame = append(frame, other...)
	}
	return frame
}

func (e *Entry) appendSection(frame []byte) []byte {
	bits := e.bits()
	frame = append(frame, bits)
	frame = binary.BigEndian.AppendUint64(frame, e.fingerprint)
	if bits&bitCheck != 0 {
		frame = append(frame, e.Check[:]...)
	}
	if bits&bitTimes != 0 {
		frame = binary.AppendVarint(frame, e.StoredAt)
		frame = binary.AppendVarint(frame, e.FreshUntil)
		frame = binary.AppendVarint(frame, e.ExpiresAt)
	}
	if bits&bitGroups != 0 {
		frame = binary.AppendUvarint(frame, uint64(len(e.Groups)))
		for _, g := range e.Groups {
			frame = appendText(frame, g.Group)
			frame = appendText(frame, g.ID)
		}
	}
	if bits&bitHeld != 0 {
		frame = append(frame, e.Holder[:]...)
		frame = binary.AppendVarint(frame, e.HeldUntil)
	}
	if bits&bitRetry != 0 {
		frame = append(frame, e.Failures)
		frame = binary.AppendVarint(frame, e.RetryAt)
	}
	if e.Error != nil {
		frame = appendError(frame, e.Error)
	}
	return append(frame, e.body...)
}

func (e *Entry) bits() (bits byte) {
	set := func(on bool, bit byte) {
		if on {
			bits |= bit
		}
	}
	set(e.compressed, bitCompressed)
	set(e.Check != Check{}, bitCheck)
	set(e.StoredAt != 0 || e.FreshUntil != 0 || e.ExpiresAt != 0, bitTimes)
	set(len(e.Groups) > 0, bitGroups)
	set(e.Holder != Token{}, bitHeld)
	set(e.Failures != 0 || e.RetryAt != 0, bitRetry)
	set(e.Empty, bitEmpty)
	set(e.Negative || e.Error != nil, bitOutcome)
	return bits
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendError(b []byte, e *Error) []byte {
	b = appendText(b, e.Text)
	b = binary.AppendUvarint(b, uint64(len(e.Targets)))
	for _, t := range e.Targets {
		b = append(b, t.ID[:]...)
		if t.Found {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

// parseFrame fills e in from frame, whose bytes it keeps. Of the sections behind the first, those that are damaged are
// left out.
func (e *Entry) parseFrame(frame []byte) error {
	r := reader{rest: frame}
	head := r.bytes(3)
	if r.cut || head[0] != frameMagic || head[1] != frameFormat || head[2] > maxOthers {
		return Undecodable("it does not begin as an entry of this library does")
	}
	var lengths [maxOthers]uint64
	first, n := uint64(0), int(head[2])
	for i := range n {
		lengths[i] = min(r.uvarint(), math.MaxInt32)
		first += lengths[i]
	}
	if first = uint64(len(r.rest)) - first; r.cut || first > uint64(len(r.rest)) {
		return errDamagedFrame()
	}
	if err := e.parseSection(r.bytes(int(first))); err != nil {
		return err
	}
	for _, length := range lengths[:n] {
		other := Entry{flags: flagsFrame, MaxDecoded: e.MaxDecoded}
		if other.parseSection(r.bytes(int(length))) == nil {
			e.others = append(e.others, other)
		}
	}
	return nil
}

func errDamagedFrame() error { return Undecodable("it is damaged") }

func (e *Entry) parseSection(section []byte) error {
	r := reader{rest: section}
	var bits byte
	if b := r.bytes(1); !r.cut {
		bits = b[0]
	}
	if b := r.bytes(8); !r.cut {
		e.fingerprint = binary.BigEndian.Uint64(b)
	}
	if bits&bitCheck != 0 {
		copy(e.Check[:], r.bytes(len(e.Check)))
	}
	if bits&bitTimes != 0 {
		e.StoredAt, e.FreshUntil, e.ExpiresAt = r.varint(), r.varint(), r.varint()
	}
	if bits&bitGroups != 0 {
		n := r.uvarint()
		if n == 0 || n > MaxGroups {
			return Undecodable("it has %d groups", n)
		}
		e.Groups = r.generations(int(n))
	}
	if bits&bitHeld != 0 {
		copy(e.Holder[:], r.bytes(len(e.Holder)))
		e.HeldUntil = r.varint()
	}
	if bits&bitRetry != 0 {
		if b := r.bytes(1); !r.cut {
			e.Failures = b[0]
		}
		e.RetryAt = r.varint()
	}
	e.compressed, e.Empty = bits&bitCompressed != 0, bits&bitEmpty != 0
	if hasOutcome := bits&bitOutcome != 0; hasOutcome && e.Empty {
		e.Negative = true
	} else if hasOutcome {
		e.Error = r.error()
	}
	e.body = r.rest
	if r.cut || bits&^allBits != 0 || e.Empty && len(e.body) > 0 {
		return errDamagedFrame()
	}
	return nil
}

// A reader takes a frame apart. Once something is missing, or is not what it has to be, cut is true and what it returns
// means nothing.
type reader struct {
	rest []byte
	cut  bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.cut, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	r.pass(size)
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	r.pass(size)
	return n
}

// pass goes on after a varint of that size, which is not positive where there was none.
func (r *reader) pass(size int) {
	if size <= 0 {
		r.cut, r.rest = true, nil
		return
	}
	r.rest = r.rest[size:]
}

// generations reads n groups, each with a name and an id. Their texts share one string.
func (r *reader) generations(n int) []Generation {
	texts := r.rest
	for range n {
		for _, most := range [...]uint64{errtext.MaxGroupName, maxID} {
			length := r.uvarint()
			if r.cut = r.cut || length > most; r.cut {
				return nil
			}
			r.bytes(int(length))
		}
	}
	if r.cut {
		return nil
	}
	all := string(texts[:len(texts)-len(r.rest)])
	next := func() string {
		length, size := binary.Uvarint(texts)
		end := size + int(length)
		text := all[size:end]
		texts, all = texts[end:], all[end:]
		return text
	}
	groups := make([]Generation, n)
	for i := range groups {
		groups[i] = Generation{Group: next(), ID: next()}
		r.cut = r.cut || groups[i].Group == "" || !isID(groups[i].ID)
	}
	return groups
}

// error reads what appendError has written.
func (r *reader) error() *Error {
	length := r.uvarint()
	if r.cut = r.cut || length > MaxErrorText; r.cut {
		return nil
	}
	e := &Error{Text: string(r.bytes(int(length)))}
	n := r.uvarint()
	if r.cut = r.cut || n > MaxTargets; r.cut {
		return nil
	}
	e.Targets = make([]Target, n)
	for i := range e.Targets {
		b := r.bytes(len(TargetID{}) + 1)
		if r.cut = r.cut || b[len(b)-1] > 1; r.cut {
			return nil
		}
		copy(e.Targets[i].ID[:], b)
		e.Targets[i].Found = b[len(b)-1] == 1
	}
	if !slices.ContainsFunc(e.Targets, func(t Target) bool { return t.Found }) {
		r.cut = true
	}
	return e
}
