package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// What another client of the server writes as an entry, byte by byte.

const (
	forgedTimes = 1 << 2
	forgedHeld  = 1 << 4
	forgedRetry = 1 << 5
	forgedEmpty = 1 << 6
	forgedNone  = 1 << 7
)

// A forgery is a section.
type forgery struct {
	bits        byte
	fingerprint uint64 // 0: the reader's own
	fresh, gone int64
	groups      []string // names and generations in turn
	token       byte
	held, retry int64
	body        []byte
}

func (f forgery) section(own uint64) []byte {
	const groups = 1 << 3
	bits := f.bits
	if len(f.groups) > 0 {
		bits |= groups
	}
	if f.fingerprint != 0 {
		own = f.fingerprint
	}
	b := binary.BigEndian.AppendUint64([]byte{bits}, own)
	if bits&forgedTimes != 0 {
		b = binary.AppendVarint(b, 0) // when it was stored, which nobody relies on
		b = binary.AppendVarint(binary.AppendVarint(b, f.fresh), f.gone)
	}
	if bits&groups != 0 {
		b = binary.AppendUvarint(b, uint64(len(f.groups)/2))
		for _, text := range f.groups {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	if bits&forgedHeld != 0 {
		b = append(b, slices.Repeat([]byte{f.token}, 16)...)
		b = binary.AppendVarint(b, f.held)
	}
	if bits&forgedRetry != 0 {
		b = binary.AppendVarint(append(b, 3), f.retry)
	}
	return append(b, f.body...)
}

// forge writes the sections under the key, for good.
func (p *program) forge(key Key, sections ...forgery) {
	b := frameOf(p.task.typ.Fingerprint(), sections)
	s := p.history.sea
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key.stored, engine.Item{Value: b, Flags: frameFlags}, cacheutils.Forever)
}

// body returns the value n of the program's version as it is stored.
func (p *program) body(t *testing.T, n int) []byte {
	b, err := entry.Encode(nil, p.task.typ, p.value(n))
	if err != nil {
		t.Fatal(err)
	}
	return b.Data
}

// The ways to ask for a key: with all the time that it takes, and with less than a lease.
var heldCalls = map[string]func(p *program, key Key, within time.Duration) error{
	"a call": func(p *program, key Key, within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		return p.store.Fetch(ctx, key, p.task, p.takes(time.Millisecond, 1, time.Hour)).Err
	},
	"a call of many": func(p *program, key Key, within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		keys, results := []Key{p.store.Key("another"), key}, make([]Result, 2)
		misses := p.store.LookupMany(ctx, keys, p.task, nil, func(int) any { return p.value(0) }, func(int, any) {})
		if misses != nil {
			p.store.FetchMisses(ctx, misses, results, func(ctx context.Context, missing []int) []Result {
				return slices.Repeat([]Result{p.takes(time.Millisecond, 1, time.Hour)(ctx)}, len(missing))
			})
		}
		return results[1].Err
	},
	"GetOrSet": func(p *program, key Key, within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		v := reflect.New(seaVersions[p.version])
		return p.store.GetOrSet(ctx, key, v.Interface(), func(context.Context) (any, error) { return v.Elem().Interface(), nil }, time.Hour)
	},
	"callers who join": func(p *program, key Key, within time.Duration) error {
		errs := make(chan error)
		for range 3 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), within)
				defer cancel()
				errs <- p.store.Fetch(ctx, key, p.task, p.takes(time.Millisecond, 1, time.Hour)).Err
			}()
		}
		var worst error
		for range 3 {
			if err := <-errs; err != nil {
				worst = err
			}
		}
		return worst
	},
}

// Nobody who writes leases and times at will keeps callers from a key for longer than a lease and two seconds, whatever time
// they have themselves.
func TestHeld_ByForgery(t *testing.T) {
	now := func(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() } // in the bubble
	lease := func(held int64) []forgery { return []forgery{{bits: forgedHeld | forgedEmpty, token: 7, held: held}} }
	for name, forge := range map[string]func(p *program) []forgery{
		"a lease that is over":            func(*program) []forgery { return lease(1) },
		"a lease":                         func(*program) []forgery { return lease(now(80 * time.Millisecond)) },
		"a lease of an hour":              func(*program) []forgery { return lease(now(time.Hour)) },
		"a lease of 30 s":                 func(*program) []forgery { return lease(now(30 * time.Second)) },
		"a lease forever":                 func(*program) []forgery { return lease(math.MaxInt64) },
		"a lease of before all times":     func(*program) []forgery { return lease(math.MinInt64) },
		"a lease whose end is near at 64": func(*program) []forgery { return lease(math.MaxInt64 - 500) },
		"that there is none, held": func(*program) []forgery {
			return []forgery{{bits: forgedHeld | forgedEmpty | forgedNone, token: 7, held: now(20 * time.Second)}}
		},
		"a value that is over, held": func(p *program) []forgery {
			return []forgery{{bits: forgedHeld | forgedTimes, gone: 1, token: 7, held: now(20 * time.Second), body: p.body(t, 9)}}
		},
		"three leases": func(p *program) []forgery {
			f := lease(now(20 * time.Second))[0]
			g, h := f, f
			g.token, h.token = 8, 9
			return []forgery{f, g, h}
		},
		"a lease beside others of other versions": func(p *program) []forgery {
			f := lease(now(20 * time.Second))[0]
			g, h := f, f
			f.fingerprint, g.fingerprint = 1, 2
			return []forgery{f, g, h}
		},
		"a lease on groups that nobody asked for": func(p *program) []forgery {
			f := lease(1)[0]
			f.groups = []string{"other", "one"}
			return []forgery{f}
		},
	} {
		for how, call := range heldCalls {
			for _, within := range []time.Duration{time.Hour, 300 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s/%s/%v", name, how, within), func(t *testing.T) {
					inSea(t, -1, func(t *testing.T, h *history, all []*program) {
						p := all[0]
						key := p.store.Key("k", "g")
						p.forge(key, forge(p)...)
						began := time.Now()
						err := call(p, key, within)
						for err != nil && time.Since(began) < time.Minute {
							time.Sleep(100 * time.Millisecond)
							err = call(p, key, within)
						}
						if most := p.store.Lease + 2*time.Second + 500*time.Millisecond; err != nil || time.Since(began) > most {
							t.Fatalf("after %v: %v, want a result after %v at most", time.Since(began), err, most)
						}
						before := p.runs()
						if err := call(p, key, within); err != nil || p.runs() != before {
							t.Errorf("then: %v after %d computations more, want a hit", err, p.runs()-before)
						}
					}, 0)
				})
			}
		}
	}
}

// A holder that gives its lease a new end within each lease keeps it for as long as it does so, and not for longer.
func TestHeld_WhileItIsRenewed(t *testing.T) {
	for how, call := range heldCalls {
		for _, within := range []time.Duration{time.Hour, 300 * time.Millisecond} {
			t.Run(fmt.Sprint(how, "/", within), func(t *testing.T) {
				inSea(t, -1, func(t *testing.T, h *history, all []*program) {
					p := all[0]
					p.store.Lease = 3 * time.Second
					key := p.store.Key("k", "g")
					ends := time.Now().Add(time.Minute)
					last := make(chan time.Time)
					go func() {
						var at time.Time
						for time.Now().Before(ends) {
							at = time.Now()
							p.forge(key, forgery{bits: forgedHeld | forgedEmpty, token: 7, held: at.Add(p.store.Lease).UnixMilli()})
							time.Sleep(p.store.Lease)
						}
						last <- at
					}()
					time.Sleep(time.Millisecond)
					for err := call(p, key, within); err != nil; err = call(p, key, within) {
						time.Sleep(50 * time.Millisecond)
					}
					since := time.Since(<-last)
					if least := p.store.Lease + 2*time.Second; since < least || since > least+500*time.Millisecond {
						t.Errorf("the lease was taken %v after it was renewed, want %v", since, least)
					}
				}, 0)
			})
		}
	}
}

// A function that runs for long in one process is not run in another, though callers there ask all the time.
func TestHeld_ByALiveHolder(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p, q := all[0], all[1]
		done := make(chan Result)
		go func() {
			done <- p.store.Fetch(context.Background(), p.key(), p.task, p.takes(time.Minute, 1, time.Hour))
		}()
		time.Sleep(50 * time.Millisecond)
		for began := time.Now(); time.Since(began) < 50*time.Second; {
			if heldCalls["a call"](q, q.key(), 300*time.Millisecond) == nil {
				t.Fatalf("another process has a result after %v", time.Since(began))
			}
		}
		if err := heldCalls["a call"](q, q.key(), time.Hour); err != nil || q.runs() != 0 {
			t.Errorf("%v after %d computations, want none", err, q.runs())
		}
		if r := <-done; r.Err != nil || p.task.Stats.Stores.Load() != 1 {
			t.Errorf("the first process: %v, and %d results stored, want one", r.Err, p.task.Stats.Stores.Load())
		}
	}, 0, 0)
}

// A value past its timeout is renewed though what was written with it says that somebody does so, or that it is too early.
func TestHeld_StaleValue(t *testing.T) {
	now := func(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }
	type times struct{ held, retry func() int64 }
	at := func(n int64) func() int64 { return func() int64 { return n } }
	in := func(d time.Duration) func() int64 { return func() int64 { return now(d) } }
	leased := 90*time.Millisecond + 2*time.Second
	for name, c := range map[string]struct {
		times
		most time.Duration
	}{
		"held forever":                 {times{at(math.MaxInt64), at(0)}, 0},
		"held for an hour":             {times{in(time.Hour), at(0)}, 0},
		"held for 20 s":                {times{in(20 * time.Second), at(0)}, leased},
		"held before all times":        {times{at(math.MinInt64), at(0)}, 0},
		"again never":                  {times{at(1), at(math.MaxInt64)}, 0},
		"again in an hour":             {times{at(1), in(time.Hour)}, 0},
		"again in 20 s":                {times{at(1), in(20 * time.Second)}, 20 * time.Second},
		"held forever, again never":    {times{at(math.MaxInt64), at(math.MaxInt64)}, 0},
		"held for 20 s, again at once": {times{in(20 * time.Second), at(math.MinInt64)}, leased},
	} {
		t.Run(name, func(t *testing.T) {
			inSea(t, time.Hour, func(t *testing.T, h *history, all []*program) {
				p := all[0]
				key := p.store.Key("k")
				p.forge(key, forgery{
					bits:  forgedTimes | forgedHeld | forgedRetry,
					fresh: now(-time.Second), gone: now(time.Hour), token: 7, held: c.held(), retry: c.retry(), body: p.body(t, 9),
				})
				began := time.Now()
				for p.runs() == 0 && time.Since(began) < time.Minute {
					if err := heldCalls["a call"](p, key, time.Hour); err != nil {
						t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
				}
				if took := time.Since(began); took > c.most+200*time.Millisecond {
					t.Errorf("it is recomputed after %v, want %v", took, c.most)
				}
				time.Sleep(time.Second)
				r := p.store.Fetch(context.Background(), key, p.task, p.takes(0, 2, time.Hour))
				if r.Err != nil || r.Value.(*firstVersion).N != 1 {
					t.Errorf("then it is %v, %v, want what was computed", r.Value, r.Err)
				}
			}, 0)
		})
	}
}

// GetOrSet, which has no use for a value past its timeout, doesn't wait until others may try again.
func TestHeld_GetOrSetOnAStaleValue(t *testing.T) {
	inSea(t, time.Hour, func(t *testing.T, h *history, all []*program) {
		p := all[0]
		key := p.store.Key("k")
		now := time.Now()
		p.forge(key, forgery{
			bits:  forgedTimes | forgedRetry,
			fresh: now.Add(-time.Second).UnixMilli(), gone: now.Add(time.Hour).UnixMilli(), retry: now.Add(29 * time.Second).UnixMilli(), body: p.body(t, 9),
		})
		if err := heldCalls["GetOrSet"](p, key, time.Hour); err != nil || time.Since(now) > time.Second {
			t.Errorf("%v after %v, want a value at once", err, time.Since(now))
		}
	}, 0)
}

// A computation's token that a neighbour has copied to the key of what the computation asks for doesn't make that a
// recursion.
func TestHeld_ByACopiedToken(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p := all[0]
		inner := p.store.Key("inner")
		outer := p.store.Key("outer")
		began := time.Now()
		r := p.store.Fetch(context.Background(), outer, p.task, func(ctx context.Context) Result {
			h.sea.mu.Lock()
			h.sea.put(inner.stored, h.sea.items[outer.stored].Item, cacheutils.Forever)
			h.sea.mu.Unlock()
			return p.store.Fetch(ctx, inner, p.task, p.takes(time.Millisecond, 1, time.Hour))
		})
		if most := p.store.Lease + 2*time.Second + 500*time.Millisecond; r.Err != nil || time.Since(began) > most {
			t.Errorf("%v after %v, want a value after %v at most", r.Err, time.Since(began), most)
		}
	}, 0)
}

// What is forged beside a value, for other versions, is kept for no longer than those may have it, and no sum of times
// overflows.
func TestHeld_BesideAValue(t *testing.T) {
	for _, held := range []int64{math.MinInt64, -1, 0, math.MaxInt64 - 1500, math.MaxInt64} {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			p := all[0]
			key := p.store.Key("k")
			p.forge(key, forgery{bits: forgedHeld | forgedEmpty, token: 7, fingerprint: 1, held: held},
				forgery{bits: forgedHeld | forgedTimes, token: 8, fingerprint: 2, held: held, gone: held, fresh: held, body: []byte("x")})
			began := time.Now()
			if err := heldCalls["a call"](p, key, time.Hour); err != nil || time.Since(began) > 500*time.Millisecond {
				t.Errorf("with %d: %v after %v, want a result at once", held, err, time.Since(began))
			}
			before := p.runs()
			if err := heldCalls["a call"](p, key, time.Hour); err != nil || p.runs() != before {
				t.Errorf("with %d, then: %v after %d computations more, want a hit", held, err, p.runs()-before)
			}
		}, 0)
	}
}

// What somebody has written beside the lease of a live holder, for other versions, has the engine keep the item for no longer
// than what the holder stores, and those that may be a version's.
func TestHeld_BesideALiveLease(t *testing.T) {
	for name, held := range map[string]int64{"forever": math.MaxInt64, "for an hour": time.Hour.Milliseconds()} {
		t.Run(name, func(t *testing.T) {
			inSea(t, -1, func(t *testing.T, h *history, all []*program) {
				p := all[0]
				key := p.store.Key("k")
				r := p.store.Fetch(context.Background(), key, p.task, func(context.Context) Result {
					h.sea.mu.Lock()
					own := h.sea.items[key.stored].Item
					if held != math.MaxInt64 {
						held += time.Now().UnixMilli()
					}
					other := forgery{bits: forgedHeld | forgedEmpty, token: 7, fingerprint: 1, held: held}.section(0)
					own.Value = slices.Concat(own.Value[:2], []byte{1, byte(len(other))}, own.Value[3:], other)
					h.sea.put(key.stored, own, time.Hour)
					h.sea.mu.Unlock()
					time.Sleep(2 * p.store.Lease) // it is renewed
					return Result{Value: p.value(1), Timeout: time.Minute}
				})
				if r.Err != nil || p.task.Stats.Stores.Load() != 1 {
					t.Errorf("%v, and %d results stored, want one", r.Err, p.task.Stats.Stores.Load())
				}
				h.sea.mu.Lock()
				defer h.sea.mu.Unlock()
				if ends := h.sea.items[key.stored].ends; ends.IsZero() || time.Until(ends) > 2*time.Minute {
					t.Errorf("a result for a minute is kept until %v, now it is %v", ends, time.Now())
				}
			}, 0)
		})
	}
}

// Leases that were written behind each other are not waited for one after the other, where nothing takes their place.
func TestHeld_BehindEachOther(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p := all[0]
		key := p.store.Key("k")
		lease := forgery{bits: forgedHeld | forgedEmpty, token: 7, held: time.Now().Add(25 * time.Second).UnixMilli()}
		second, third := lease, lease
		second.token, third.token = 8, 9
		p.forge(key, lease, second, third)
		failed := fmt.Errorf("the function has failed")
		began := time.Now()
		for range 4 {
			if r := p.store.Fetch(context.Background(), key, p.task, func(context.Context) Result { return Result{Err: failed} }); r.Err != failed {
				t.Fatalf("%v, want what the function has returned", r.Err)
			}
		}
		if most := p.store.Lease + 2*time.Second + 500*time.Millisecond; time.Since(began) > most {
			t.Errorf("4 calls took %v, want %v at most", time.Since(began), most)
		}
	}, 0)
}

// More leases than a process knows are waited for until they are over by their own time, and for no longer.
func TestHeld_MoreThanAreKnown(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p := all[0]
		const n = 3 * maxSightings
		until := time.Now().Add(p.store.Lease + 20*time.Second)
		forged := frameOf(p.task.typ.Fingerprint(), []forgery{{bits: forgedHeld | forgedEmpty, token: 7, held: until.UnixMilli()}})
		held := func() (held int) {
			for i := range n {
				f, key := found{reader: p.task.typ}, Key{stored: fmt.Sprint(i)}
				if err := p.store.evaluate(context.Background(), &f, &key, engine.Item{Value: forged, Flags: frameFlags}, true, nil, nil); err != nil {
					t.Fatal(err)
				}
				if f.state == entry.Leased {
					held++
				}
			}
			return held
		}
		for range 2 {
			if got := held(); got != n {
				t.Fatalf("%d leases are waited for at first, want %d", got, n)
			}
			time.Sleep(3 * time.Second)
		}
		time.Sleep(time.Until(until.Add(31 * time.Second)))
		if got := held(); got != 0 {
			t.Errorf("%d leases are waited for at the end, want none", got)
		}
	}, 0)
}

// What is known of leases is bounded, and the last ones are known.
func TestHeld_SightingsAreBounded(t *testing.T) {
	lease := func(n int) sighting { return sighting{"k", entry.Token{1}, int64(n)} }
	for _, many := range []int{maxSightings, maxSightings + 1, 3*maxSightings - 1, 3 * maxSightings} {
		var s sightings
		for n := range many {
			if first := s.since(lease(n), time.Duration(n)); first != time.Duration(n) {
				t.Fatalf("lease %d was found at %d before", n, first)
			}
			if known := len(s.recent) + len(s.older); known > 2*maxSightings {
				t.Fatalf("%d leases are known, want %d at most", known, 2*maxSightings)
			}
		}
		for _, n := range []int{many - 1, many - maxSightings/2, many - maxSightings} {
			if first := s.since(lease(n), math.MaxInt64); first != time.Duration(n) {
				t.Errorf("of %d leases number %d, one of the last, was found at %d", many, n, first)
			}
		}
	}
}

// A lease is gone when it was found unchanged for longer than its life, and one of another holder, with another end or under
// another key is not that one.
func TestHeld_GoneIsTheSameLease(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		c := all[0].store
		key, other := c.Key("k"), c.Key("other")
		e := entry.Entry{Meta: entry.Meta{Holder: entry.Token{1}, HeldUntil: 1}}
		held, renewed := e, e
		held.Holder, renewed.HeldUntil = entry.Token{2}, 2
		if c.isGone(&key, &e) {
			t.Error("it is gone as soon as it was found")
		}
		time.Sleep(c.Lease + leaseSlack)
		if c.isGone(&key, &e) {
			t.Error("it is gone with its life and the slack")
		}
		time.Sleep(time.Second)
		for what, found := range map[string]struct {
			key  *Key
			e    *entry.Entry
			gone bool
		}{
			"the same":          {&key, &e, true},
			"of another holder": {&key, &held, false},
			"renewed":           {&key, &renewed, false},
			"of another key":    {&other, &e, false},
		} {
			if gone := c.isGone(found.key, found.e); gone != found.gone {
				t.Errorf("%s: gone is %v", what, gone)
			}
		}
	}, 0)
}
