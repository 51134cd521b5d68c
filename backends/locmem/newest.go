package locmem

import (
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils/backends/engine"
)

// W-TinyLFU may drop an entry as soon as it was written, when the store is full of entries
// that were used more often. Whoever sets a value and reads it back then finds nothing. So
// the entries written last are kept whatever their use: they weigh nothing, which exempts
// them from eviction, and a part of the bounds is set aside for them. A write puts its entry
// in and takes another one out, which is then weighed and has to hold its own.
//
// While the store is so empty that it drops nothing, entries have their weight from the start. They
// are still noted as the newest, and lose it should a large entry come that could push them out.

// maxNewest is how many entries written last are kept at most.
const maxNewest = 4

// newest are the entries written last, and some that were replaced since.
type newest struct {
	entries [maxNewest]atomic.Pointer[entry]
	next    atomic.Uint64
}

// hasRoom counts a write of that weight, and tells whether with it the store is at most half full.
// It then drops nothing while the next few are written, unless one is large, see prepare.
func (s *store) hasRoom(b *bounds, weight uint64) bool {
	return s.written.Add(weight) <= b.rest()/2
}

// measure corrects written, which counts what was replaced or has gone, too. It does so once for
// every eighth of the store that is written, and not under a lock of the cache.
func (s *store) measure(b *bounds) {
	half := b.rest() / 2
	written, measured := s.written.Load(), s.measured.Load()
	if written <= half || written-measured <= half/4 || !s.measured.CompareAndSwap(measured, written) {
		return
	}
	s.cache().CleanUp()
	if there := s.cache().WeightedSize(); there < written {
		// What others write meanwhile is counted, whether it is there already or not.
		s.written.Add(there - written)
		s.measured.Store(there)
	}
}

// keep notes an entry that was just written, and gives the one that was noted longest its weight.
// Every entry that was written has to be noted once.
func (s *store) keep(e *entry) {
	b := s.bounds.Load()
	if !e.weightless && uint64(b.weight(e.cost())) > b.newestWeight() {
		return
	}
	i := s.newest.next.Add(1) % uint64(b.newest())
	if old := s.newest.entries[i].Swap(e); old != nil && old.weightless {
		s.weigh(old)
	}
}

// prepare is for a write that is about to begin. If it is too large to be one of the newest, it takes
// the weight off those, so that it doesn't push them out.
func (s *store) prepare(key string, item engine.Item) {
	if item.Brief {
		return
	}
	b := s.bounds.Load()
	s.measure(b)
	if uint64(b.weight(cost(key, item))) <= b.newestWeight() {
		return
	}
	for i := range s.newest.entries {
		e := s.newest.entries[i].Load()
		if e == nil || e.weightless {
			continue
		}
		light := &entry{key: e.key, item: e.item, until: e.until, weightless: true}
		if s.replace(e, light) && !s.newest.entries[i].CompareAndSwap(e, light) {
			s.weigh(light)
		}
	}
}

// weigh writes the entry once more, with its weight, unless it was replaced.
func (s *store) weigh(e *entry) {
	s.replace(e, &entry{key: e.key, item: e.item, until: e.until})
}

// replace writes next in place of e, unless that was replaced.
func (s *store) replace(e, next *entry) (replaced bool) {
	s.cache().ComputeIfPresent(e.key, func(now *entry) (*entry, otter.ComputeOp) {
		if replaced = now == e; !replaced {
			return now, otter.CancelOp
		}
		return next, otter.WriteOp
	})
	return replaced
}

// forget drops the entries, when none of them is in the store any more.
func (s *store) forget() {
	s.written.Store(0)
	s.measured.Store(0)
	for i := range s.newest.entries {
		s.newest.entries[i].Store(nil)
	}
}

// newest is how many of the entries written last are kept.
func (b bounds) newest() int { return min(max(b.entries/8, 1), maxNewest) }

// newestWeight is how much each of them may weigh at most, if it didn't weigh nothing.
func (b bounds) newestWeight() uint64 { return max(b.least(), b.maximum()/128) }

// rest is the bound on the sum of weights of all other entries.
func (b bounds) rest() uint64 {
	// There is something left but for a max_entries of 1, where otter still wants a maximum.
	return max(b.maximum()-min(uint64(b.newest())*b.newestWeight(), b.maximum()), 1)
}
