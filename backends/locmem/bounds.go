package locmem

import (
	"math"

	"github.com/cacheutils/cacheutils/engine"
)

// One bound on the sum of weights keeps both the entries and their cost in bounds: an entry
// weighs what it costs, but at least max_cost/max_entries, rounded down, and the weights may
// add up to max_entries times that. So max_entries entries fit that weigh the least, never
// one more, and what they cost is within max_cost. The price is that a store of very mixed
// entries may be full below both bounds: small entries are charged as average ones.
//
// Weights are 32 bits wide, so that for a max_cost of 4 GiB and more they count units of
// several bytes.

// overhead is what an entry costs besides its key and its value: the entry and the key's
// string header, the node and the slot in the hash table that hold it.
const overhead = 256

type bounds struct {
	entries, cost int

	unit         uint64 // how many bytes a weight of 1 stands for
	least        uint64 // what an entry weighs at least
	recent       uint64 // how many of the entries written last are kept besides the others
	recentWeight uint64 // how much each of them may weigh at most
	mainBudget   uint64 // the bound on the sum of weights of all others
}

func newBounds(entries, cost int) bounds {
	b := bounds{entries: entries, cost: cost}
	b.unit = uint64(cost)/math.MaxUint32 + 1
	b.least = max(uint64(cost)/b.unit/uint64(entries), 1)
	b.recent = min(max(uint64(entries)/8, 1), maxRecent)
	b.recentWeight = max(b.least, b.maximum()/128)
	// There is something left, except for a max_entries of 1, where otter still needs a maximum.
	b.mainBudget = max(b.maximum()-min(b.recent*b.recentWeight, b.maximum()), 1)
	return b
}

// maximum is the bound on the sum of all weights.
func (b *bounds) maximum() uint64 {
	units := uint64(b.cost) / b.unit
	if units < uint64(b.entries) {
		return units
	}
	return b.least * uint64(b.entries)
}

// weight is what an entry of that cost weighs.
func (b *bounds) weight(cost int) uint32 {
	weight := max(ceilDiv(uint64(cost), b.unit), b.least)
	return uint32(min(weight, math.MaxUint32))
}

// fits reports whether an entry of that cost and weight can be stored at all.
func (b *bounds) fits(cost int, weight uint32) bool {
	return cost <= b.cost && uint64(weight) <= max(b.mainBudget, b.recentWeight)
}

// wanted are the bounds that an engine was opened with; 0 where it was opened without.
type wanted struct{ entries, cost int }

// applyTo returns b with what is wanted in place.
func (w wanted) applyTo(b *bounds) bounds {
	entries, cost := b.entries, b.cost
	if w.entries > 0 {
		entries = w.entries
	}
	if w.cost > 0 {
		cost = w.cost
	}
	return newBounds(entries, cost)
}

// cost is what an entry takes of max_cost. Items say what their value costs; one that says
// less than the length of its bytes is not believed.
func cost(key string, item engine.Item) int {
	size := max(item.Cost, len(item.Value))
	if size > math.MaxInt-len(key)-overhead {
		return math.MaxInt
	}
	return size + len(key) + overhead
}

func ceilDiv(a, b uint64) uint64 {
	return a/b + min(a%b, 1)
}
