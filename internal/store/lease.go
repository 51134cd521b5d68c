package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/random"
)

// A lease is the right to compute a key's value and to store it, among all processes. It is a
// random token on the key's entry: on an entry without a value where there was none, on the
// old entry where its value may still be served. See docs/freshness.md for why this keeps
// readers from old values.
//
//	take     add, where nothing is; compare-and-swap with what was read, where something is
//	renew    while the computation runs: read, and swap in the same entry with more time
//	store    read once more; if the token is there and the groups still have the generations
//	         from before the computation, swap in the result
//	release  as store, but with what the token was on, or with an entry that counts for nobody
//
// Where a swap is refused, something has been written since: the token has gone, or another version of the program has
// changed its section beside it. The next read says which, and only if the token has gone the lease is lost.
//
// A process that deletes or overwrites the entry takes the token away, and then nothing is stored. So
// does a server that loses the entry. A holder that dies stops renewing: the server drops an
// entry without a value when the lease's life is over; on a stale value the end of the
// lease stands as a time, which hosts whose clocks differ see earlier or later by that much. Whatever the server and
// the time say, a lease that a process finds unchanged for longer than its life counts for nobody there, see sightings.go.
type lease struct {
	store  *Store
	key    *Key
	typ    *codec.Type // of the values that are computed
	token  entry.Token
	groups []entry.Generation // before the computation

	inMemory  bool         // it is on no value, in this process's memory
	heldUntil atomic.Int64 // as on the entry

	// Guarded by renewals.mu.
	queued        bool
	due           time.Time     // when it is renewed next
	isDue         bool          // it waits to be renewed, or is
	before, after *lease        // in renewals
	ended         bool          // it isn't renewed any more
	renewing      chan struct{} // closed when the renewal under way has ended; nil: there is none
}

const (
	// maxOrphaning is how many leases are looked for at a time to take them away.
	maxOrphaning = 128
	// tombstone is how long an entry that counts for nobody stays after a lease without a result.
	tombstone = time.Second
)

// maxRefusals is how often a computation, a lease, or an operation, takes it that others were faster when the engine doesn't
// write what would stand in the place of what was found.
const maxRefusals = 100

// beforeTry waits before an operation's nth try on the key, counted from 0: those who are faster all the time are given way to.
// It fails when there were too many, or ctx ends.
func (c *Store) beforeTry(ctx context.Context, key *Key, n int) error {
	const atOnce = 3
	switch {
	case n >= maxRefusals:
		return errRefused
	case n >= atOnce:
		return clock.Sleep(ctx, c.pollDelay(key, (n-atOnce)/10)) // briefly at first: most operations have no time for many long pauses
	default:
		return nil
	}
}

// errRefused is for an engine that contradicts itself.
var errRefused = fmt.Errorf("cacheutils: the engine has refused %d times to replace what it says that it has, or has not", maxRefusals)

// take tries to get the lease on key for a value of type t. f was found for readers of that. ok is false when somebody was
// faster. With steal it is taken from its holder.
func (c *Store) take(ctx context.Context, key *Key, t *codec.Type, f found, steal bool) (l *lease, ok bool, err error) {
	if f.state == entry.Leased && !steal {
		return nil, false, nil
	}
	l = &lease{store: c, key: key, typ: t, token: entry.NewToken(c.Name, key.stored)}
	if l.groups, err = c.createMissing(ctx, key.stored, f.generations); err != nil {
		return nil, false, err
	}
	if had := f.entry.Groups; !steal && !slices.Equal(f.generations, had) && slices.Equal(l.groups, had) && len(had) > 0 {
		// It was looked for when its groups had no key yet, and stored before that was read: on
		// several servers a lookup is not one moment. It may count after all.
		return nil, false, nil
	}
	if key.in == nil {
		l.groups = ownNames(l.groups)
	}
	held := c.sealer.Tombstone(key.check, t)
	if (f.state == entry.Fresh || f.state == entry.Stale) && !f.entry.IsPlain() {
		held = f.entry
	} else if c.live {
		held.SetMark(l)
		l.inMemory = true
	}
	held.CAS = f.entry.CAS
	held.KeepOthers(&f.entry)
	l.hold(&held, c.now())
	if f.state == entry.Missing {
		ok, err = c.Engine.Add(ctx, key.stored, held.Item(), l.life(&held))
	} else {
		others := held.HasOthers()
		if ok, err = c.swap(ctx, key, &held, l.life(&held)); others && errors.Is(err, cacheutils.ErrTooLarge) {
			return nil, false, nil // nothing is there any more, and next time there is room
		}
	}
	if err != nil {
		l.orphan()
		return nil, false, withoutKeys(err, key.stored)
	}
	if !ok {
		return nil, false, nil
	}
	c.renewals.add(l, time.Now())
	return l, true, nil
}

// ownNames returns the generations with names that have memory of their own.
func ownNames(generations []entry.Generation) []entry.Generation {
	own := slices.Clone(generations)
	for i := range own {
		own[i].Group = strings.Clone(own[i].Group)
	}
	return own
}

// orphan is for a lease of which nobody knows whether it is on the key's entry: an answer was lost,
// or the caller's context ended before it came. Were the token left there, all would wait for a
// computation that is not running. This process knows such tokens; for the others they are taken
// away. The store may carry out late what it was told, so they are looked for more than once.
func (l *lease) orphan() {
	c := l.store
	c.orphans.add(l.token, time.Now())
	if c.closed.Load() {
		return // nothing is begun any more: it ends by itself, for the others
	}
	if c.orphaning.Add(1) > maxOrphaning { // likewise
		c.orphaning.Add(-1)
		return
	}
	c.background.run(func(ctx context.Context) {
		defer c.orphaning.Add(-1)
		for _, after := range [...]time.Duration{0, 100 * time.Millisecond, time.Second} {
			if clock.Sleep(ctx, after) != nil || c.closed.Load() {
				return
			}
			step, cancel := context.WithTimeout(ctx, c.OperationTimeout)
			held, _ := l.write(step, &ending{})
			cancel()
			if held {
				return
			}
		}
	})
}

// abandon ends the lease of a function that hangs.
func (l *lease) abandon() {
	l.store.renewals.end(l)
	l.orphan()
}

// Meta is the lease as a mark on the key.
func (l *lease) Meta() entry.Meta {
	return entry.Meta{Check: l.key.check, Holder: l.token, HeldUntil: l.heldUntil.Load(), Empty: true}
}

// hold puts the token on e, for the lease's life from now.
func (l *lease) hold(e *entry.Entry, now time.Time) {
	e.Hold(l.token, now.Add(l.store.Lease))
	l.heldUntil.Store(e.HeldUntil)
}

// life returns how long the engine keeps an entry with the token. A store that counts in
// seconds may drop an entry almost one of them early, and the holder must not lose the token
// while it lives; so it's one more. A value that ends before the token does is left under it,
// but not served.
func (l *lease) life(e *entry.Entry) time.Duration {
	life := l.store.Lease + time.Second
	if e.Empty {
		return life
	}
	return max(e.Left(l.store.now()), life)
}

// renew runs every third of the lease's life.
func (l *lease) renew() {
	c := l.store
	ctx, cancel := context.WithTimeout(context.Background(), c.OperationTimeout)
	defer cancel()
	for n := 0; ; n++ {
		f := found{reader: l.typ, holder: l.token}
		held, err := l.lookup(ctx, n, &f)
		if held {
			l.hold(&f.entry, c.now())
			if held, err = c.swap(ctx, l.key, &f.entry, l.life(&f.entry)); !held && err == nil {
				continue
			}
		}
		switch {
		case err != nil:
			c.fault("renew the lease on ", l.key.String(), err)
		case !held:
			c.renewals.remove(l) // it is lost, which finish will find out
		}
		return
	}
}

// lookup looks up what the token is on, for the nth try to replace that, counted from 0. held is true if the token is still
// there: then a swap that is refused is tried again.
func (l *lease) lookup(ctx context.Context, n int, f *found) (held bool, err error) {
	if err := l.store.beforeTry(ctx, l.key, n); err != nil {
		return false, err
	}
	if err := l.store.lookup(ctx, f, l.key); err != nil {
		return false, err
	}
	return f.entry.Holder == l.token, nil
}

// An ending is what a lease ends with. The zero ending gives it back.
type ending struct {
	stores bool          // the entry, otherwise the lease is given back
	entry  entry.Entry   // has all that it needs of the result
	keep   time.Duration // how long the engine is to keep it
	alone  bool          // whatever other versions of the program have there is dropped: it is older
	tick   uint64        // after the computation: if the lease is held now, the result is for those who started before

	// What is to become of the value that the lease is on, if no other takes its place.
	drops bool // it is out of date
	fails bool // it could not be recomputed
}

// finish ends the lease as e says. held is true if the token was still there, and if an entry is stored, the groups
// were what they were.
func (l *lease) finish(ctx context.Context, e *ending) (held bool, err error) {
	if renewing := l.store.renewals.end(l); renewing != nil {
		select {
		case <-renewing:
		case <-ctx.Done():
		}
	}
	held, err = l.write(ctx, e)
	if err != nil && !errors.Is(err, cacheutils.ErrTooLarge) { // which leaves nothing of it
		l.orphan()
	}
	return held, err
}

// write replaces what the token is on by what end stores, or by what the token was put on.
func (l *lease) write(ctx context.Context, end *ending) (held bool, err error) {
	c := l.store
	if end.stores && l.inMemory && len(l.key.groups) == 0 && c.swapper != nil {
		held, err = c.swapper.SwapLive(ctx, l.key.stored, l, end.entry.Item(), end.keep)
		return held || errors.Is(err, cacheutils.ErrTooLarge), withoutKeys(err, l.key.stored)
	}
	for n := 0; ; n++ {
		f := found{reader: l.typ, holder: l.token}
		if held, err = l.lookup(ctx, n, &f); !held {
			return false, err
		}
		held = slices.Equal(f.generations, l.groups)
		e, keep, cas := &end.entry, end.keep, f.entry.CAS
		if !end.stores || !held {
			f.entry, keep = l.residue(f.entry, held, end)
			e = &f.entry
		} else if e.DropOthers(); !end.alone {
			e.KeepOthers(&f.entry)
		}
		e.CAS = cas
		swapped, err := c.swap(ctx, l.key, e, keep)
		if swapped || err != nil {
			return held && (swapped || errors.Is(err, cacheutils.ErrTooLarge)), err
		}
	}
}

// residue returns what is left of e, which the token is on, without a result, and for how long.
// After a failure the next may try only after a while, which doubles with each one.
func (l *lease) residue(e entry.Entry, held bool, end *ending) (entry.Entry, time.Duration) {
	if e.Empty || end.drops || !held {
		if left, keep := e.Others(l.store.now()); keep > 0 {
			return left, keep
		}
		left := l.store.sealer.Tombstone(l.key.check, l.typ)
		if l.store.swapper != nil { // nobody else has to be told
			return left, 0
		}
		return left, tombstone
	}
	e.Release()
	if end.fails {
		e.Fail(l.store.now())
	}
	return e, e.Left(l.store.now())
}

// A caller who needs a value that another process computes looks it up again after a while: first after
// firstPoll, then after half as long again each time, up to lastPoll, each time give or take
// half, so that processes don't look it up at the same moment.
const (
	firstPoll = 4 * time.Millisecond
	lastPoll  = 40 * time.Millisecond
)

// pollDelay returns how long to wait before the nth lookup of the key, counted from 0.
func (c *Store) pollDelay(key *Key, n int) time.Duration {
	d := firstPoll
	for range min(n, 20) {
		d = min(d*3/2, lastPoll)
	}
	return d/2 + random.Below(d, c.Name, key.stored)
}
