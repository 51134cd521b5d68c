package decorators

import (
	"context"
	"math/rand/v2"
	"reflect"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/store"
)

// Hits on values in this process's memory that are had often go without the key's text and without
// a look under it: a small table has them by the bytes of the arguments.
//
// Laws 2 and 6 hold as they do for a look. Arguments with the same bytes make the same key, in the
// backend that the table is for, so what the table has is what was stored under that. And it has
// only a sight of it, which ends before anything else can be seen under the key, and before an
// operation that removed it returns (see engine.Sight): what the table gives, a look at that
// moment would have found.
//
// A hit by a look fills a slot that is empty. Whoever finds that what a slot has is gone empties it.
// What is not gone is seldom replaced: calls for very many arguments would else pay for a table
// that is of little use to them, while what is called for very often gets its place soon enough.

const (
	recentSlots  = 256
	replaceEvery = 128 // hits on other arguments
)

// A recent has the latest hits of a plan in one backend.
type recent struct {
	cache *store.Store
	slots *[recentSlots]slot // nil: the backend has nothing in sight
}

// A slot is empty, or has a hit that can be had again.
type slot struct{ atomic.Pointer[sighted] }

type sighted struct {
	raw      string // of the arguments
	sighting store.Sighting
}

func (s *sighted) isFor(r *raw) bool { return s.raw == string(r.text()) }

// planRecent finds out whether the bytes of arguments are enough to know their key again.
func (p *plan) planRecent() {
	p.recalls = !p.keyOf.IsValid() && !p.groupsOf.IsValid() && len(p.options.groups) == 0 && p.kwargs == nil
	for i := range p.params {
		prm := &p.params[i]
		if prm.encoder != nil && !prm.variadic {
			prm.kind = prm.encoder.Scalar()
		}
		switch prm.kind {
		case reflect.Invalid, reflect.Complex64, reflect.Complex128:
			p.recalls = false
		}
	}
}

// recentIn returns the table for hits in the backend, or nil if there can't be one.
func (p *plan) recentIn(cache *store.Store) *recent {
	if !p.recalls {
		return nil
	}
	t := p.recent.Load()
	if t == nil || t.cache != cache {
		t = &recent{cache: cache}
		if cache.Sights(p.task) {
			t.slots = new([recentSlots]slot)
		}
		p.recent.Store(t)
	}
	if t.slots == nil {
		return nil
	}
	return t
}

// slot returns the one for the arguments, which it shares with others.
func (t *recent) slot(r *raw) *slot { return &t.slots[r.hash()%recentSlots] }

// recall returns the value for the arguments, or nil.
func (s *slot) recall(ctx context.Context, r *raw, task *store.Task) any {
	has := s.Load()
	if has == nil || !has.isFor(r) {
		return nil
	}
	value, gone := has.sighting.Again(ctx, task)
	if gone {
		s.CompareAndSwap(has, nil)
	}
	return value
}

// note is told of a hit on the key that the arguments make.
func (s *slot) note(r *raw, cache *store.Store, key []byte, task *store.Task) {
	has := s.Load()
	if has != nil && (rand.Uint32()%replaceEvery != 0 || has.isFor(r)) {
		return
	}
	if sighting, ok := cache.Sight(key, task); ok {
		s.CompareAndSwap(has, &sighted{string(r.text()), sighting})
	}
}
