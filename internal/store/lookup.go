package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A lookup asks the engine for entries and for the generations of their groups, in one round trip to each server,
// and says what each entry is worth. There is one way to ask for one key (lookup), which costs least, and one to
// ask for several things at once (a query).

// A found is what a lookup has found under a key. The first three fields say for whom that is.
type found struct {
	reader *codec.Type // of whose values; nil: of any
	errs   *Errors     // that the reader knows; nil: none
	plain  bool        // who reads what low-level operations store, and other programs: numbers and texts without metadata
	holder entry.Token // who has this token, to whom nothing but the section with it matters

	state       entry.State
	entry       entry.Entry
	generations []entry.Generation // what the key's groups hold
	err         error              // why an entry can't be read; matches ErrUndecodable
	others      bool               // a dead entry has nothing but what other versions of the program have stored
	negative    bool               // a dead entry says that the function has nothing for the key
}

// lookingFor returns what a lookup for the task begins with.
func (t *Task) lookingFor() found { return found{reader: t.typ, errs: t.Errors, plain: t.plain} }

// lookup looks up key's entry and the generations of its groups. f says for whom, and is zero otherwise.
func (c *Store) lookup(ctx context.Context, f *found, key *Key) error {
	if len(key.groups) == 0 || c.live {
		item, err := c.Engine.Get(ctx, key.stored)
		return c.evaluateItem(ctx, f, key, item, err)
	}
	q := newQuery()
	defer q.free()
	q.add(c, key)
	return q.evaluate(ctx, c, f, key, 0, q.run(ctx, c))
}

// evaluateItem is evaluate for what Get has returned. Of an engine in this process's memory, where that costs no
// round trip, it gets what the key's groups hold.
func (c *Store) evaluateItem(ctx context.Context, f *found, key *Key, item engine.Item, err error) error {
	there, err := isFound(err)
	if err != nil {
		return errtext.Wrap(withoutKeys(err, key.stored), "get %s", key.String())
	}
	var few [8][]byte
	ids := few[:0]
	for _, groupKey := range c.groupKeys(key) {
		group, err := c.Engine.Get(ctx, groupKey)
		if _, err = isFound(err); err != nil {
			return errtext.Wrap(withoutKeys(err, groupKey), "get the groups of %s", key.String())
		}
		ids = append(ids, group.Value)
	}
	return c.evaluate(ctx, f, key, item, there, ids, nil)
}

// isFound reports whether a Get that has returned err has found something.
func isFound(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case err == cacheutils.ErrCacheMiss, errors.Is(err, cacheutils.ErrCacheMiss):
		return false, nil
	default:
		return false, err
	}
}

// evaluate finds out what item is worth, if it is there, and the key's groups hold these ids. q is the query of which it is
// an answer; nil: there is none.
func (c *Store) evaluate(ctx context.Context, f *found, key *Key, item engine.Item, there bool, ids [][]byte, q *query) error {
	if there {
		f.state = entry.Dead
		if f.entry.MaxDecoded = c.MaxDecoded; q != nil {
			f.entry.MaxDecoded = q.memory.forItem(len(item.Value))
		}
		if f.err = f.entry.Parse(item); f.entry.IsPlain() && !f.plain {
			f.err = entry.Undecodable("it is no result of a function, but a value that somebody has set")
		}
	}
	var now time.Time
	if !c.live && there && f.err == nil {
		now = c.now()
		f.entry.Distrust(f.holder, now, c.Lease)
		f.others = !f.pick(now)
	}
	same := f.err == nil && entry.AreGenerations(f.entry.Groups, key.groups, ids)
	if same {
		f.generations = f.entry.Groups
	} else {
		f.generations = entry.GenerationsOf(key.groups, ids)
	}
	e := &f.entry
	switch {
	case !there || f.err != nil || f.others:
		return nil
	case e.Check != key.check:
		f.err = entry.Undecodable("it belongs to another key of the same text")
		return nil
	case e.Holder != entry.Token{} && f.holder == entry.Token{} && c.isGone(key, e):
		e.Release()
	}
	switch {
	case e.Empty && e.Holder != entry.Token{}:
		f.state = entry.Leased
		return nil
	case e.Empty && !e.Negative:
		return nil
	}
	if !same {
		if n := len(e.Groups) - len(f.generations); n > entry.MaxUnasked && !c.live {
			f.err = entry.Undecodable("it is in %d groups more than its reader names, and may be in %d: name them", n, entry.MaxUnasked)
			return nil
		}
		alive, err := c.groupsMatch(ctx, e.Groups, f.generations, q)
		if err != nil || !alive {
			return err
		}
	}
	if c.live {
		if f.state = entry.Fresh; e.Ages() { // to ask for the time costs a part of what a hit does
			f.state = e.StateAt(c.now())
		}
	} else {
		f.state = e.StateAt(now)
	}
	if e.Negative { // for a caller who asks for one key that is no answer
		f.negative, f.state = f.state == entry.Fresh, entry.Dead
	}
	if e.Error != nil {
		switch {
		case !f.errs.Knows(e.Error):
			f.state, f.others = entry.Dead, true
		case f.state == entry.Stale: // this library stores none that can be
			f.state = entry.Dead
		}
	}
	return nil
}

// isGone reports whether nobody waits for the holder that e, which was found under key, names.
func (c *Store) isGone(key *Key, e *entry.Entry) bool {
	if c.orphans.has(e.Holder, time.Now()) {
		return true
	}
	if c.live { // others can't write there
		return false
	}
	now := time.Since(epoch)
	first := c.sightings.since(sighting{key.stored, e.Holder, e.HeldUntil}, now)
	return now-first > c.Lease+leaseSlack
}

// pick makes the section that is for the reader the entry, and reports whether there is one.
func (f *found) pick(now time.Time) bool {
	if f.holder != (entry.Token{}) {
		return f.entry.PickHolder(f.holder, now)
	}
	return f.entry.PickFor(f.reader, f.errs, now)
}

// result returns a value that was found as it is handed out: with the error that came with it, if there is one, as a *Result.
func (f *found) result(value any) any {
	if f.entry.Error == nil {
		return value
	}
	return &Result{Value: value, Err: f.failed(), Error: f.entry.Error}
}

// failed returns the error that came with the value that was found, which its reader knows, or nil.
func (f *found) failed() error {
	if f.entry.Error == nil {
		return nil
	}
	return f.errs.Read(f.entry.Error)
}

// value returns the value that was found, decoded into box unless that is nil or the value is live. Where it can't be
// decoded it returns nil, and the entry is dead: it is of another version of the program, or err says what is wrong with it.
func (c *Store) value(f *found, box any, t *codec.Type, shared bool) any {
	value, err := f.entry.ValueIn(box, t, shared)
	if err == nil {
		return value
	}
	f.state, f.err = entry.Dead, err
	if f.others = !c.live && f.entry.BecomeOther(t, err); f.others && errors.Is(err, codec.ErrUnknownType) {
		f.err = nil
	}
	return nil
}

// groupsMatch reports whether an entry in the groups had counts, for a reader who asked for the
// groups now. An entry that isn't in all of those doesn't: an invalidation of the others
// would not reach it. Groups that the reader didn't ask for are read here, at the cost of
// another round trip: one for all entries of a query.
func (c *Store) groupsMatch(ctx context.Context, had, now []entry.Generation, q *query) (bool, error) {
	var unasked []string
	for _, g := range had {
		i := slices.IndexFunc(now, func(n entry.Generation) bool { return n.Group == g.Group })
		switch {
		case i < 0:
			unasked = append(unasked, g.Group)
		case now[i].ID != g.ID:
			return false, nil
		}
	}
	for _, n := range now {
		if !slices.ContainsFunc(had, func(g entry.Generation) bool { return g.Group == n.Group }) {
			return false, nil
		}
	}
	if len(unasked) == 0 {
		return true, nil
	}
	others, err := c.unasked(ctx, unasked, q)
	if err != nil {
		return false, err
	}
	for _, o := range others {
		if !slices.Contains(had, o) {
			return false, nil
		}
	}
	return true, nil
}

// swap is the engine's CompareAndSwap of what was read for e, which the engine keeps for as long as e is to be kept, or
// another version's section beside it. Where there is no room for both, e is alone.
func (c *Store) swap(ctx context.Context, key *Key, e *entry.Entry, keep time.Duration) (bool, error) {
	item, size := e.Item(), int64(0)
	keep = c.engineKeeps(e, keep)
	if e.HasOthers() {
		if size = int64(len(item.Value)); size < c.tooLarge.Load() {
			keep = max(keep, e.OthersLeft(c.now()))
		} else {
			e.DropOthers()
			item, size = e.Item(), 0
		}
	}
	swapped, err := c.Engine.CompareAndSwap(ctx, key.stored, item, keep)
	if size > 0 && errors.Is(err, cacheutils.ErrTooLarge) {
		c.tooLarge.Store(min(c.tooLarge.Load(), size))
	}
	return swapped, withoutKeys(err, key.stored)
}

// engineKeeps returns how long the engine is to keep e, which ends after keep. An engine may count in seconds, by a clock
// that ticks once a second, and so drop an item almost one of them early. What is to end within a second, and says so
// itself, is kept for one more.
func (c *Store) engineKeeps(e *entry.Entry, keep time.Duration) time.Duration {
	if c.live || e.ExpiresAt == 0 || keep%time.Second == 0 || keep > cacheutils.Forever-time.Second {
		return keep
	}
	return keep + time.Second
}

// evaluate is Store.evaluate for the ith key that was added, where run has returned err. That counts if it
// may be why something isn't there.
func (q *query) evaluate(ctx context.Context, c *Store, f *found, key *Key, i int, err error) error {
	var few [8][]byte
	q.err = err
	got := &q.got[q.entries[i]]
	complete, ids := got.found, few[:0]
	for _, groupKey := range c.groupKeys(key) {
		group := &q.got[q.groups[groupKey]]
		complete = complete && group.found
		ids = append(ids, group.item.Value)
	}
	if err != nil && !complete {
		return errtext.Wrap(err, "get %s", key.String())
	}
	return c.evaluate(ctx, f, key, got.item, got.found, ids, q)
}

// unasked is generations for groups that an entry is in and its reader didn't ask for. If the entry is one of a query, those
// of all its entries are read with the first.
func (c *Store) unasked(ctx context.Context, groups []string, q *query) ([]entry.Generation, error) {
	if q == nil {
		return c.generations(ctx, groups)
	}
	if q.second == 0 {
		q.second = len(q.asked)
		for _, group := range groups {
			q.addGroup(c.groupKey(group))
		}
		if len(q.entries) > 1 {
			q.addUnasked(c)
		}
		if q.second < len(q.asked) {
			q.secondErr = q.run(ctx, c)
		}
	}
	generations := make([]entry.Generation, len(groups))
	for i, text := range groups {
		group, key := c.ownGroup(text)
		at, asked := q.groups[key]
		if !asked {
			return c.generations(ctx, groups)
		}
		got, err := &q.got[at], q.err
		if at >= q.second {
			err = q.secondErr
		}
		if !got.found && err != nil {
			return nil, errtext.Wrap(err, "read the generation of the group %s", cachekey.Digest(group))
		}
		generations[i] = entry.Generation{Group: group, ID: entry.IDOf(got.item.Value)}
	}
	return generations, nil
}

// generations reads what the groups hold now, in one multi-get.
func (c *Store) generations(ctx context.Context, groups []string) ([]entry.Generation, error) {
	var generations []entry.Generation
	err := c.readGenerations(ctx, groups, func(g entry.Generation, _ *answer) error {
		generations = append(generations, g)
		return nil
	})
	return generations, err
}

// readGenerations reads what the groups hold now, in one multi-get, and hands each to read, with what is under its key. It
// returns an error for those that could not be read.
func (c *Store) readGenerations(ctx context.Context, groups []string, read func(entry.Generation, *answer) error) error {
	if len(groups) == 0 {
		return nil
	}
	q := newQuery()
	defer q.free()
	for _, group := range groups {
		q.addGroup(c.groupKey(group))
	}
	err := q.run(ctx, c)
	var failed error
	for _, text := range groups {
		group, key := c.ownGroup(text)
		got := &q.got[q.groups[key]]
		if !got.found && err != nil {
			failed = cmp.Or(failed, errtext.Wrap(err, "read the generation of the group %s", cachekey.Digest(group)))
			continue
		}
		if err := read(entry.Generation{Group: group, ID: entry.IDOf(got.item.Value)}, got); err != nil {
			return err
		}
	}
	return failed
}
