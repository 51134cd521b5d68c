package entry

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// While a program is deployed, processes of two versions ask for the same keys, and the type of a result may differ
// between them. Each version then has a section of its own in the frame, with its own value, lease, times and groups:
//
//   - a reader has to do with the section that is for its type, and never with another one. Which one that is, its
//     fingerprint says. Where several have that, as for values behind interfaces, it is the one whose value this process
//     can decode;
//   - that section is the Entry itself once Pick has been called, and the others are kept as they are, until the one who
//     stores the entry says that they are to go: an invalidation leaves none;
//   - a section with an error counts only for readers who know that, see error.go;
//   - a frame has at most two values, and besides them one lease. Where there would be more, the one that was written
//     first goes.
//
// The engine keeps the item for as long as one of the sections needs it. So each has to say itself when it ends.

// maxOthers bounds how many sections a frame has besides the first.
const maxOthers = 2

// grace is how long the engine keeps an item past the end that stands in a section, since it may count in seconds. A
// lease among other sections counts for as long, as one that is alone does.
const grace = time.Second

// Pick makes the section the entry that is for readers of type t, or for t nil of any type, who know no errors, and reports whether
// there is one. Otherwise the entry counts for nobody. Other sections that have ended are dropped.
func (e *Entry) Pick(t *codec.Type, now time.Time) bool { return e.PickFor(t, nil, now) }

// PickFor is Pick for readers who know errors.
func (e *Entry) PickFor(t *codec.Type, errs *Errors, now time.Time) bool {
	if len(e.others) == 0 {
		if e.rank(t, errs) > 0 || e.isTombstone() {
			return true
		}
		e.becomeOther()
		return false
	}
	sections := e.sections(now)
	return e.choose(sections, best(sections, t, errs))
}

// best returns the index of the section for readers of type t, or -1 for none: of those of the highest rank the first.
// Where there are several that may be, those with a value are decoded until one can be. Together they have the memory that
// is left to the entry, and Value returns what was decoded.
func best(sections []Entry, t *codec.Type, errs *Errors) int {
	var candidates []int
	for i := range sections {
		if sections[i].rank(t, errs) > 0 {
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(a, b int) int { return sections[b].rank(t, errs) - sections[a].rank(t, errs) })
	for n, i := range candidates {
		s := &sections[i]
		if n > 0 {
			s.MaxDecoded = sections[candidates[n-1]].MaxDecoded
		}
		if len(candidates) == 1 || t == nil || s.Empty || s.decodes(t) {
			return i
		}
	}
	return -1
}

// Distrust is Meta.Distrust for all sections but that of the reader's own token, which may be zero: the reader has none. Of the
// others nothing is kept that says nothing then.
func (e *Entry) Distrust(own Token, now time.Time, lease time.Duration) {
	distrust := func(m *Meta) {
		if own == (Token{}) || m.Holder != own {
			m.Distrust(now, lease)
		}
	}
	distrust(&e.Meta)
	for i := range e.others {
		distrust(&e.others[i].Meta)
	}
	if len(e.others) > 0 {
		e.others = slices.DeleteFunc(e.others, func(other Entry) bool { return other.isTombstone() })
	}
}

// PickHolder is Pick for the section that has the token.
func (e *Entry) PickHolder(t Token, now time.Time) bool {
	if len(e.others) == 0 || e.Holder == t {
		return e.Holder == t
	}
	sections := e.sections(now)
	best := -1
	for i := range sections {
		if sections[i].Holder == t {
			best = i
		}
	}
	return e.choose(sections, best)
}

// sections returns those of the entry that have not ended. Of leases on no value for one type there is one: a second one
// is nobody's, and would be waited for once the first has ended.
func (e *Entry) sections(now time.Time) []Entry {
	sections := make([]Entry, 0, 1+maxOthers)
	first := *e
	first.others = nil
	for _, s := range append([]Entry{first}, e.others...) {
		again := slices.ContainsFunc(sections, func(before Entry) bool {
			return s.isLease() && before.isLease() && s.fingerprint == before.fingerprint
		})
		if !s.isTombstone() && !s.isOver(now) && !again {
			sections = append(sections, s)
		}
	}
	return sections
}

// choose makes the entry that one of its sections, or for -1 one that counts for nobody, and the rest the others.
func (e *Entry) choose(sections []Entry, own int) bool {
	cost, cas := e.Cost, e.CAS
	*e = Entry{flags: flagsFrame, MaxDecoded: e.MaxDecoded, Meta: Meta{Empty: true}}
	if own >= 0 {
		*e = sections[own]
	}
	e.Cost, e.CAS = cost, cas
	for i := range sections {
		if i != own {
			e.others = append(e.others, sections[i])
		}
	}
	return own >= 0
}

// becomeOther makes the entry one of the others, and what is in its place counts for nobody.
func (e *Entry) becomeOther() {
	first := *e
	first.others = nil
	e.choose(append([]Entry{first}, e.others...), -1)
}

// BecomeOther is for an entry of which Value has returned err for the type t: if it is another version's, it becomes one of
// the others. It reports whether that is so.
func (e *Entry) BecomeOther(t *codec.Type, err error) bool {
	if e.live != nil || e.flags != flagsFrame || e.fingerprint == t.Fingerprint() && !errors.Is(err, codec.ErrUnknownType) {
		return false
	}
	e.unknown = e.fingerprint == t.Fingerprint()
	e.becomeOther()
	return true
}

// rank says how well the section is for a reader of type t who knows errs, 0 being not at all. A lease is only for readers of exactly
// its type: the others would wait for what they may not be able to read.
func (e *Entry) rank(t *codec.Type, errs *Errors) int {
	isLease := e.Empty && !e.Negative
	switch {
	case e.Error != nil && t != nil && !errs.Knows(e.Error):
		return 0
	case e.live != nil || e.flags != flagsFrame:
		return 4
	case t == nil && isLease:
		return 1
	case t == nil:
		if _, known := codec.Lookup(e.fingerprint); known {
			return 3
		}
		return 2
	case e.fingerprint == t.Fingerprint() && isLease:
		return 3
	case e.fingerprint == t.Fingerprint():
		return 4
	case !e.Empty && mayOpen(e.fingerprint, t):
		return 1
	default:
		return 0
	}
}

// decodes reports whether the value is one of t, in this process, and keeps it for Value.
func (e *Entry) decodes(t *codec.Type) bool {
	p := reflect.New(t.Type())
	err := e.decode(t, p)
	if e.tried, e.unknown = true, errors.Is(err, codec.ErrUnknownType); err == nil {
		e.value = p.Interface()
	}
	return err == nil
}

// hasResult reports whether the section has a value, or says that there is none.
func (e *Entry) hasResult() bool { return !e.Empty || e.Negative }

// isError reports whether the section has an error with its value, which some readers of its type don't know: it makes room for a
// result of that type which all of them know, and not for a lease, or for another error.
func (e *Entry) isError() bool { return e.Error != nil }

// isEarlier reports whether the value, of the same fingerprint as one that takes its place, is of the same version of the
// program: where there are interfaces in it, that shows when it is decoded.
func (e *Entry) isEarlier(t *codec.Type) bool {
	return !e.isError() && !e.unknown && (e.tried || !t.HoldsAny())
}

// isTombstone reports whether the section says nothing.
func (e *Entry) isTombstone() bool { return e.Empty && !e.Negative && e.Holder == Token{} }

// isLease reports whether the section is a lease on no value.
func (e *Entry) isLease() bool { return e.Empty && !e.Negative && e.Holder != Token{} }

// isOver reports whether a section has neither a value nor a lease any more.
func (e *Entry) isOver(now time.Time) bool {
	at := now.UnixMilli()
	held := e.Holder != Token{} && at-grace.Milliseconds() < e.HeldUntil
	hasValue := e.hasResult() && (e.ExpiresAt == 0 || at < e.ExpiresAt)
	return !held && !hasValue
}

// KeepOthers puts the other sections of was beside e, which is stored in the place of that. Of an earlier value of e's
// own version nothing is kept.
func (e *Entry) KeepOthers(was *Entry) {
	e.others = nil
	if e.live != nil || e.flags != flagsFrame {
		return // it has no room
	}
	t, known := codec.Lookup(e.fingerprint)
	values := 0
	count := func(s *Entry) {
		if s.hasResult() {
			values++
		}
	}
	count(e)
	for i := range was.others {
		other := &was.others[i]
		if len(e.others) == maxOthers || other.fingerprint == e.fingerprint && (known && !other.Empty && other.isEarlier(t) || other.isError() && e.hasResult() && !e.isError()) {
			continue
		}
		if count(other); values > 2 {
			values--
			continue
		}
		e.others = append(e.others, *other)
	}
}

// OtherValue returns nil, or for a reader of type t an error that matches cacheutils.ErrUndecodable if one of the other
// sections has a value, and codec.ErrUnknownType if this process doesn't know the type of that.
func (e *Entry) OtherValue(t *codec.Type) error {
	for i := range e.others {
		if e.others[i].Empty {
			continue
		}
		err := otherType(t)
		if _, known := codec.Lookup(e.others[i].fingerprint); !known {
			err = fmt.Errorf("%w: it is %w", err, codec.ErrUnknownType)
		}
		return err
	}
	return nil
}

// DropOthers leaves e alone.
func (e *Entry) DropOthers() { e.others = nil }

// EachGroups calls f with the groups of each section that is in some.
func (e *Entry) EachGroups(f func([]Generation)) {
	if len(e.Groups) > 0 {
		f(e.Groups)
	}
	for i := range e.others {
		if len(e.others[i].Groups) > 0 {
			f(e.others[i].Groups)
		}
	}
}

// HasOthers reports whether other versions have sections beside e.
func (e *Entry) HasOthers() bool { return len(e.others) > 0 }

// Others returns what is left without the entry's own section, and how long the engine is to keep it: 0 if that is
// nothing.
func (e *Entry) Others(now time.Time) (left Entry, keep time.Duration) {
	if len(e.others) == 0 {
		return Entry{}, 0
	}
	left, keep = e.others[0], e.OthersLeft(now)
	left.others = e.others[1:]
	return left, keep
}

// OthersLeft returns how long the engine is to keep the entry for the other sections.
func (e *Entry) OthersLeft(now time.Time) (left time.Duration) {
	for i := range e.others {
		other := &e.others[i]
		if other.hasResult() {
			left = max(left, min(other.Left(now), cacheutils.Forever-grace)+grace)
		}
		if other.Holder != (Token{}) {
			left = max(left, min(time.UnixMilli(other.HeldUntil).Sub(now), cacheutils.Forever-grace)+grace)
		}
	}
	return left
}

// Restamp is Stamp for the values of all versions that are fresh: one that is stale is not made fresh by that.
func (e *Entry) Restamp(now time.Time, timeout time.Duration) time.Duration {
	for i := range e.others {
		if other := &e.others[i]; other.hasResult() && other.StateAt(now) == Fresh {
			other.restamp(now, timeout)
		}
	}
	return e.restamp(now, timeout)
}

// restamp is Stamp for a value that is stored already.
func (e *Entry) restamp(now time.Time, timeout time.Duration) time.Duration {
	stored := e.StoredAt
	keep := e.Stamp(now, timeout, 0)
	e.StoredAt = stored
	return keep
}
