package locmem

import (
	"sync/atomic"

	"github.com/maypok86/otter/v2"
)

// W-TinyLFU may drop an entry as soon as it was written, when the store is full of entries
// that were used more often. Whoever sets a value and reads it back then finds nothing. So
// the entries written last are kept whatever their use: they weigh nothing, which exempts
// them from eviction, and a part of the bounds is set aside for them. A write puts its entry
// in and takes another one out, which is then weighed and has to hold its own.

// maxNewest is how many entries written last are kept at most.
const maxNewest = 4

// newest are the entries that weigh nothing, and some that were replaced since.
type newest struct {
	entries [maxNewest]atomic.Pointer[entry]
	next    atomic.Uint64
}

// keep puts in an entry that was just written, and takes out the one that was there longest.
// Every entry that was written with newest set has to be put in once.
func (s *store) keep(e *entry) {
	if e == nil || !e.newest {
		return
	}
	i := s.newest.next.Add(1) % uint64(s.bounds.Load().newest())
	if old := s.newest.entries[i].Swap(e); old != nil {
		s.weigh(old)
	}
}

// weigh writes the entry once more, with its weight, unless it was replaced.
func (s *store) weigh(e *entry) {
	s.cache().ComputeIfPresent(e.key, func(now *entry) (*entry, otter.ComputeOp) {
		if now != e {
			return now, otter.CancelOp
		}
		return &entry{key: e.key, item: e.item, timeout: keepExpiry}, otter.WriteOp
	})
}

// forget drops the entries, when none of them is in the store any more.
func (s *store) forget() {
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
