package store

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
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
//	release  as store, but with what the token lay on, or with an entry that counts for nobody
//
// Whoever deletes or overwrites the entry takes the token away, and then nothing is stored. So
// does a server that loses the entry. A holder that dies stops renewing: the server drops an
// entry without a value when the lease's life is over; on a stale value the end of the
// lease stands as a time, which hosts whose clocks differ see earlier or later by that much.
type lease struct {
	cache  *Store
	key    *Key
	flight *flight
	token  token
	groups []generation // before the computation

	isMark    bool         // it lies on no value, in this process's memory
	heldUntil atomic.Int64 // as on the entry

	// Guarded by renewals.mu.
	queued        bool
	due           time.Time     // when it is renewed next
	isDue         bool          // it waits to be renewed, or is
	before, after *lease        // in renewals
	ended         bool          // it isn't renewed any more
	renewing      chan struct{} // closed when the renewal under way has ended; nil: there is none
}

// A token is one holder's alone.
type token [16]byte

func newToken() (t token) {
	binary.NativeEndian.PutUint64(t[:], rand.Uint64())
	binary.NativeEndian.PutUint64(t[8:], rand.Uint64()|1) // never zero
	return t
}

const (
	// maxDisowning is how many leases are looked for at a time to take them away.
	maxDisowning = 128
	// tombstone is how long an entry that counts for nobody stays after a lease without a result.
	tombstone = time.Second
)

// take tries to get the lease on the flight's key, of which f was found. ok is false when somebody was
// faster. With steal it is taken from whoever has it.
func (c *Store) take(ctx context.Context, fl *flight, f finding, steal bool) (l *lease, ok bool, err error) {
	if f.state == leased && !steal {
		return nil, false, nil
	}
	key := fl.key
	l = &lease{cache: c, key: key, flight: fl, token: newToken()}
	if l.groups, err = c.complete(ctx, f.generations); err != nil {
		return nil, false, err
	}
	if had := f.entry.groups; !steal && !slices.Equal(f.generations, had) && slices.Equal(l.groups, had) && len(had) > 0 {
		// It was looked for when its groups had no key yet, and stored before that was read: on
		// several servers a look is not one moment. It may count after all.
		return nil, false, nil
	}
	held := c.nothing(*key)
	if (f.state == fresh || f.state == stale) && !f.entry.isPlainNumber() {
		held = f.entry
	} else if c.live {
		held.live, l.isMark = l, true // the mark needs no more than that
	}
	held.cas = f.entry.cas
	now := time.Now()
	l.putOn(&held, now)
	if f.state == absent {
		ok, err = c.Engine.Add(ctx, key.stored, held.item(), l.life(&held))
	} else {
		ok, err = c.Engine.CompareAndSwap(ctx, key.stored, held.item(), l.life(&held))
	}
	if err != nil {
		l.disown()
		return nil, false, err
	}
	if !ok {
		return nil, false, nil
	}
	c.renewals.add(l, now)
	return l, true, nil
}

// disown is for a lease of which nobody knows whether it lies on the key's entry: an answer was lost,
// or the caller's context ended before it came. Were the token left there, all would wait for a
// computation that there isn't. This process knows such tokens; for the others they are taken
// away. The store may carry out late what it was told, so they are looked for more than once.
func (l *lease) disown() {
	c := l.cache
	c.disowned.add(l.token, time.Now())
	if c.disowning.Add(1) > maxDisowning { // it ends by itself, for the others
		c.disowning.Add(-1)
		return
	}
	c.background.run(func(ctx context.Context) {
		defer c.disowning.Add(-1)
		for _, after := range [...]time.Duration{0, 100 * time.Millisecond, time.Second} {
			if sleep(ctx, after) != nil {
				return
			}
			step, cancel := context.WithTimeout(ctx, c.OperationTimeout)
			held, _ := l.lay(step, &settlement{})
			cancel()
			if held {
				return
			}
		}
	})
}

// giveUp ends the lease of a function that hangs.
func (l *lease) giveUp() {
	l.cache.renewals.end(l)
	l.disown()
}

// nothing returns an entry that counts for nobody.
func (c *Store) nothing(key Key) entry {
	e := entry{flags: flagsFrame, label: label{check: key.check, empty: true}}
	if c.live {
		e.live = noValue{} // it needs no frame
	}
	return e
}

// A noValue takes the place of the live value in an entry without one.
type noValue struct{}

// putOn puts the token on e, for the lease's life from now.
func (l *lease) putOn(e *entry, now time.Time) {
	e.holder, e.heldUntil = l.token, now.Add(l.cache.Lease).UnixMilli()
	l.heldUntil.Store(e.heldUntil)
}

// life returns how long the engine keeps an entry with the token. A store that counts in
// seconds may drop an entry almost one of them early, and the holder must not lose the token
// while it lives; so it's one more. A value that ends before the token does is left under it,
// but not served.
func (l *lease) life(e *entry) time.Duration {
	life := l.cache.Lease + time.Second
	if e.empty {
		return life
	}
	return max(e.left(), life)
}

// renew runs every third of the lease's life.
func (l *lease) renew() {
	c := l.cache
	ctx, cancel := context.WithTimeout(context.Background(), c.OperationTimeout)
	defer cancel()
	f, err := c.read(ctx, *l.key)
	if err == nil && f.entry.holder != l.token {
		c.renewals.remove(l)
		return // it is lost, which settle will find out
	}
	if err == nil {
		l.putOn(&f.entry, time.Now())
		_, err = c.Engine.CompareAndSwap(ctx, l.key.stored, f.entry.item(), l.life(&f.entry))
	}
	if err != nil {
		c.fault("renew the lease on "+l.key.text, err)
	}
}

// settle ends the lease as s says. held is true if the token was still there, and if an entry is stored, the groups
// were what they were.
func (l *lease) settle(ctx context.Context, s *settlement) (held bool, err error) {
	if renewing := l.cache.renewals.end(l); renewing != nil {
		select {
		case <-renewing:
		case <-ctx.Done():
		}
	}
	held, err = l.lay(ctx, s)
	if err != nil && !errors.Is(err, cacheutils.ErrTooLarge) { // which leaves nothing of it
		l.disown()
	}
	return held, err
}

// lay puts what s stores, or what the token lay on, in the place of what the token lies on.
func (l *lease) lay(ctx context.Context, s *settlement) (held bool, err error) {
	if c := l.cache; s.stores && l.isMark && len(l.key.groups) == 0 && c.living != nil {
		return c.living.SwapLive(ctx, l.key.stored, l, s.entry.item(), s.keep)
	}
	f, err := l.cache.read(ctx, *l.key)
	if err != nil {
		return false, err
	}
	if f.entry.holder != l.token {
		return false, nil
	}
	held = slices.Equal(f.generations, l.groups)
	e, keep := &s.entry, s.keep
	if !s.stores || !held {
		f.entry, keep = l.leave(f.entry, held, s)
		e = &f.entry
	} else {
		e.cas = f.entry.cas
	}
	swapped, err := l.cache.Engine.CompareAndSwap(ctx, l.key.stored, e.item(), keep)
	return held && (swapped || errors.Is(err, cacheutils.ErrTooLarge)), err
}

// leave returns what is left of e, which the token lies on, without a result, and for how long.
// After a failure the next may try only after a while, which doubles with each one.
func (l *lease) leave(e entry, held bool, s *settlement) (entry, time.Duration) {
	if e.empty || s.drops || !held {
		left := l.cache.nothing(*l.key)
		left.cas = e.cas
		return left, tombstone
	}
	e.holder, e.heldUntil = token{}, 0
	if s.fails {
		e.retryAt = time.Now().Add(retryAfter(e.failures)).UnixMilli()
		e.failures = min(e.failures, math.MaxUint8-1) + 1
	}
	return e, e.left()
}

// retryAfter returns how long after a failure the next try waits, if so many failed before.
func retryAfter(failures uint8) time.Duration {
	const first, most = time.Second, 30 * time.Second
	return min(first<<min(failures, 10), most)
}

// isRefreshed tells whether a stale value is left alone: somebody computes it anew, or has
// failed to and waits.
func (e *entry) isRefreshed() bool {
	now := time.Now().UnixMilli()
	return e.holder != token{} && now < e.heldUntil || now < e.retryAt
}

// Whoever needs a value that another process computes looks again after a while: first after
// firstPoll, then after half as long again each time, up to lastPoll, each time give or take
// half, so that processes don't look at the same moment.
const (
	firstPoll = 4 * time.Millisecond
	lastPoll  = 40 * time.Millisecond
)

// pollDelay returns how long to wait before the nth look, counted from 0.
func pollDelay(n int) time.Duration {
	d := firstPoll
	for range min(n, 20) {
		d = min(d*3/2, lastPoll)
	}
	return d/2 + rand.N(d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
