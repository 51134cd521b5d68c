package store

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// An Explained is what is under a key, to be shown.
type Explained struct {
	State  Explanation
	Age    time.Duration // 0: that isn't known
	Left   time.Duration // until the value is past its timeout
	Kept   time.Duration // until it is not even served past that
	Size   int           // in bytes
	Groups []ExplainedGroup
	Holder Holder
	Err    error // why the value can't be read, or what came with it
}

// An Explanation says what is under a key.
type Explanation int

const (
	Nothing      Explanation = iota // no value, or one that has ended
	Fresh                           // a value that a call gets
	Stale                           // one that a call gets while it is recomputed
	NoResult                        // that the function has nothing for the key
	Computed                        // no value, but somebody's lease
	Outdated                        // a value of which a group was invalidated
	OtherVersion                    // nothing but values of other versions of the program
	Unreadable                      // a value that can't be read
	Failed                          // an error that a call gets
)

// A Holder says who computes the value.
type Holder int

const (
	Nobody Holder = iota
	ThisProcess
	Others
)

// An ExplainedGroup is a group that a value is in, or that its reader wants it to be in.
type ExplainedGroup struct {
	Name  string
	Holds bool // the value is in the group, which was not invalidated since
}

// Explain looks up what is under key for readers with that task. It counts nothing, and changes nothing. It is one round
// trip to each server, and another one where an entry is in groups that key is not in.
func (c *Store) Explain(ctx context.Context, key Key, task *Task) (x Explained, err error) {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return x, err
	}
	defer done()
	f := task.lookingFor()
	q, err := c.peek(ctx, key)
	defer q.free()
	if err = q.evaluate(ctx, c, &f, &key, 0, err); err != nil {
		return x, err
	}
	now := c.now()
	x.Holder = c.holder(&f, &key, now)
	got := &q.got[q.entries[0]]
	if !got.found {
		return x, nil
	}
	x.Size = sizeOf(&got.item)
	if f.others || f.err != nil {
		x.unread(&f)
		return x, nil
	}
	x.State = c.explanation(&f, task)
	if f.others || f.err != nil { // the value has shown that
		x.unread(&f)
		return x, nil
	}
	e := &f.entry
	if e.Empty && !e.Negative {
		return x, nil
	}
	if x.State == Failed {
		x.Err = f.failed()
	}
	x.Age, x.Kept = e.Age(now), leftUntil(e.ExpiresAt, now)
	if x.Left = x.Kept; e.FreshUntil != 0 {
		x.Left = leftUntil(e.FreshUntil, now)
	}
	x.Groups, err = c.explainGroups(ctx, &f, &key)
	return x, err
}

// peek is ask for one key, which is no use of it where the engine can tell.
func (c *Store) peek(ctx context.Context, key Key) (*query, error) {
	p, ok := engine.As[engine.Peeker](c.Engine)
	if !ok {
		return c.ask(ctx, []Key{key})
	}
	q := newQuery()
	q.add(c, &key)
	q.memory = memory{most: c.MaxDecoded, spare: c.MaxDecoded}
	for _, asked := range q.asked {
		item, err := p.Peek(ctx, asked)
		found, err := isFound(err)
		if err != nil {
			return q, withoutKeys(err, asked)
		}
		q.got = append(q.got, answer{item, found})
	}
	return q, nil
}

// unread says why f has no value for its reader.
func (x *Explained) unread(f *found) {
	if x.State = OtherVersion; f.err != nil {
		x.State, x.Err = Unreadable, f.err
	}
}

// explanation says what f is, which has been read. It decodes a value that a call would get.
func (c *Store) explanation(f *found, task *Task) Explanation {
	switch {
	case f.negative:
		return NoResult
	case f.state == entry.Leased:
		return Computed
	case f.state == entry.Fresh || f.state == entry.Stale:
		state := f.state
		if c.value(f, nil, task.typ, task.shared) == nil {
			return Unreadable
		}
		switch {
		case f.entry.Error != nil:
			return Failed
		case state == entry.Stale:
			return Stale
		default:
			return Fresh
		}
	case f.entry.Empty && !f.entry.Negative, f.entry.StateAt(c.now()) == entry.Dead:
		return Nothing
	default:
		return Outdated
	}
}

// holder returns who computes the value of key, of which f was found.
func (c *Store) holder(f *found, key *Key, now time.Time) Holder {
	switch e := &f.entry; {
	case e.Holder != entry.Token{} && (e.Empty || e.IsHeld(now)):
		if c.live || c.renewals.has(e.Holder) {
			return ThisProcess
		}
		return Others
	case c.flights.IsUnderWay(key.stored, flight.Check(key.check)):
		return ThisProcess
	default:
		return Nobody
	}
}

// explainGroups returns the groups of the entry that was found, and of key, and whether each holds.
func (c *Store) explainGroups(ctx context.Context, f *found, key *Key) ([]ExplainedGroup, error) {
	now := make(map[string]string)
	for _, g := range f.generations {
		now[g.Group] = g.ID
	}
	var groups []ExplainedGroup
	var unasked []string
	in := make(map[string]bool)
	for _, g := range f.entry.Groups {
		in[g.Group] = true
		id, asked := now[g.Group]
		if !asked {
			unasked = append(unasked, g.Group)
		}
		groups = append(groups, ExplainedGroup{g.Group, asked && id == g.ID})
	}
	for _, name := range key.groups {
		if !in[name] {
			groups = append(groups, ExplainedGroup{Name: name})
		}
	}
	others, err := c.generations(ctx, unasked)
	if err != nil {
		return groups, errtext.Wrap(err, "explain %s", key.String())
	}
	for _, g := range others {
		for i, had := range f.entry.Groups {
			if had.Group == g.Group {
				groups[i].Holds = had.ID == g.ID
			}
		}
	}
	return groups, nil
}

// leftUntil returns how long it is until that time, in Unix milliseconds; 0 is never.
func leftUntil(at int64, now time.Time) time.Duration {
	if at == 0 {
		return cacheutils.Forever
	}
	return max(time.UnixMilli(at).Sub(now), 0)
}

func sizeOf(item *engine.Item) int {
	if item.Live != nil {
		return item.Cost
	}
	return len(item.Value)
}
