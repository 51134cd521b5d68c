package locmem

import (
	"strings"
	"sync/atomic"
)

// W-TinyLFU may drop an entry as soon as it was written, when the store is full of entries that
// were used more often. A caller that sets a value and reads it back then finds nothing. So the few
// written last are kept here as well, whatever otter does with them, and a part of the bounds is
// set aside for them.
//
// An operation that writes or removes what is under a key has locked its shard, and takes what was there before
// out of here. So under that lock, what is here is what the key holds: if it isn't in otter, then otter has
// dropped it. An entry counts as dropped when it leaves here, and can't come back.

// maxRecent is how many are kept at most.
const maxRecent = 4

type recentWrites struct {
	entries [maxRecent]atomic.Pointer[entry]
	next    atomic.Uint64
}

// note keeps e, which was just written, in the place of the one that was written longest ago, unless
// it is too heavy.
func (n *recentWrites) note(e *entry, b *bounds) {
	if uint64(e.weight) <= b.recentWeight {
		n.entries[n.next.Add(1)%b.recent].Store(e)
	}
}

// find returns what the entry under key holds.
func (n *recentWrites) find(key string) (r record, there bool) {
	for i := range n.entries {
		if e := n.entries[i].Load(); e != nil && e.key == key && !e.hasExpired() {
			return e.record, true
		}
	}
	return record{}, false
}

// drop takes the entry under key out and reports whether there was one.
func (n *recentWrites) drop(key string) (there bool) {
	for i := range n.entries {
		if e := n.entries[i].Load(); e != nil && e.key == key {
			n.entries[i].CompareAndSwap(e, nil)
			there = !e.hasExpired()
		}
	}
	return there
}

// dropAll takes the entries out whose keys begin with prefix. All shards are locked.
func (n *recentWrites) dropAll(prefix string) {
	for i := range n.entries {
		if e := n.entries[i].Load(); e != nil && strings.HasPrefix(e.key, prefix) {
			n.entries[i].Store(nil)
		}
	}
}

// fit takes out those that are not within the bounds. All shards are locked.
func (n *recentWrites) fit(b *bounds) {
	for i := range n.entries {
		e := n.entries[i].Load()
		if e != nil && (uint64(i) >= b.recent || uint64(b.weight(e.cost())) > b.recentWeight) {
			n.entries[i].Store(nil)
		}
	}
}

// forget takes all out.
func (n *recentWrites) forget() {
	for i := range n.entries {
		n.entries[i].Store(nil)
	}
}
