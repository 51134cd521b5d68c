package locmem

import (
	"hash/maphash"
	"sync"
)

// A brief item marks that a value is being computed: a miss puts it up, and takes it down when it
// has the value. In otter it would cost as much as the value does, and make the miss dear. So
// marks have a table of their own, in shards that each have a lock.
//
// What is under a key is in otter, or in the table, or nowhere. Whoever writes holds the lock of
// the key's shard from its look at what is there to its last change, so that writers of a key
// come one after the other. Whoever reads looks into otter first, without a lock. An entry in
// otter is what is under the key at that moment, since a writer changes it in one step. Where
// there is none, the reader takes the lock and looks at both places: a mark may have given way
// to its value after the first look. So it never finds nothing under a key that has always had
// something, and never a mark after its value.
//
// otter drops entries without the lock. A writer may have found one that is dropped before it
// is replaced. That is as if it had been dropped right before its successor could be seen: nobody
// has written the key meanwhile, which is all that a compare-and-swap is about.

// shards is how many there are, so many that writers rarely meet in one.
const shards = 64

type shard struct {
	sync.Mutex
	marks map[string]*entry // by their key

	// room is how many marks may be put here until the expired ones are removed, which nobody
	// else does for those that were never taken down. It is as many as were left the last time
	// or a few more: each mark is looked at about once, and there are at most twice as many as
	// live, and those few.
	room int
	_    [64 - 8 - 8 - 8]byte // the next shard's lock is in another cache line
}

const fewMarks = 32

// lock locks the shard of the key and returns it.
func (s *store) lock(key string) *shard {
	sh := &s.shards[maphash.String(s.seed, key)%shards]
	sh.Lock()
	return sh
}

// mark returns the mark under key, or nil.
func (sh *shard) mark(key string) *entry {
	m := sh.marks[key]
	if m != nil && m.hasExpired() {
		delete(sh.marks, key)
		return nil
	}
	return m
}

func (sh *shard) put(m *entry) {
	if sh.room == 0 {
		sh.sweep()
	}
	sh.room--
	sh.marks[m.key] = m
}

// sweep removes the marks that have expired. A map never shrinks, so the others get a new one.
func (sh *shard) sweep() {
	left := map[string]*entry{}
	for key, m := range sh.marks {
		if !m.hasExpired() {
			left[key] = m
		}
	}
	sh.marks, sh.room = left, max(len(left), fewMarks)
}

// forgetMarks removes all marks. All shards are locked, or nobody knows the store.
func (s *store) forgetMarks() {
	for i := range s.shards {
		s.shards[i].marks, s.shards[i].room = map[string]*entry{}, fewMarks
	}
}

// locked runs change while nobody reads a mark or writes.
func (s *store) locked(change func()) {
	for i := range s.shards {
		s.shards[i].Lock()
	}
	change()
	for i := range s.shards {
		s.shards[i].Unlock()
	}
}
