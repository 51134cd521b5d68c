package locmem

import (
	"hash/maphash"
	"sync"

	"github.com/cacheutils/cacheutils"
)

// An ephemeral item marks that a value is being computed: a miss puts it up, and takes it down when it
// has the value. In otter it would cost as much as the value does, and make the miss expensive. So
// markers have a table of their own, in shards that each have a lock.
//
// What is under a key is in otter, or in the table, or nowhere (but see recent.go). A writer holds the lock of
// the key's shard from its lookup to its last change, so that writers of a key come one after the other. A
// reader looks the key up in otter first, without a lock. An entry in otter is what is under the key at that
// moment, since a writer changes it in one step. Where there is none, the reader takes the lock and looks it up
// in both: a marker may have given way to its value after the first lookup. So it never finds nothing under a
// key that has always had something, and never a marker after its value.
//
// otter drops entries without the lock. A writer may have found one that is dropped before it
// is replaced. That is as if it had been dropped right before its successor could be seen: nobody
// has written the key meanwhile, which is all that a compare-and-swap is about.

// shards is how many there are, so many that writers rarely meet in one.
const shards = 64

type shard struct {
	_ [64 - 8 - 8 - 8 - 8]byte // what others write is in other cache lines

	sync.Mutex
	markers map[string]record // by their key; nil: none

	// room is how many markers may be put here until those that have expired are swept out. It is then as many as are
	// left, or a few. So a sweep looks at twice as many as were put since the last one, at most, and there
	// are never more than twice as many as lived then, and those few. A store that is idle has them swept out by its
	// timer, see sweep.go.
	room int
	most int // how many there were at the same time since the last sweep: a map never shrinks
}

const fewMarkers = 32

// lock locks the shard of the key and returns it, or ErrClosed if the store was torn down.
func (s *store) lock(key string) (*shard, error) {
	sh := &s.shards[maphash.String(s.seed, key)%shards]
	sh.Lock()
	if s.closed {
		sh.Unlock()
		return nil, cacheutils.ErrClosed
	}
	return sh, nil
}

// marker returns the marker under key.
func (sh *shard) marker(key string) (m record, there bool) {
	m, there = sh.markers[key]
	if there && m.hasExpired() {
		delete(sh.markers, key)
		return record{}, false
	}
	return m, there
}

func (sh *shard) put(m record) {
	if sh.room == 0 {
		sh.sweep()
	}
	sh.room--
	if sh.markers == nil {
		sh.markers = make(map[string]record)
	}
	sh.markers[m.key] = m
	sh.most = max(sh.most, len(sh.markers))
}

// isIdle reports whether there are no markers, and few have been.
func (sh *shard) isIdle() bool { return len(sh.markers) == 0 && sh.most <= fewMarkers }

// sweep removes the markers that have expired. The others get a new map.
func (sh *shard) sweep() {
	left := map[string]record{}
	for key, m := range sh.markers {
		if !m.hasExpired() {
			left[key] = m
		}
	}
	sh.markers, sh.room, sh.most = left, max(len(left), fewMarkers), len(left)
}

// forgetMarkers removes all markers. All shards are locked, or the store is not in use yet.
func (s *store) forgetMarkers() {
	for i := range s.shards {
		s.shards[i].markers, s.shards[i].room = nil, fewMarkers
	}
}

// lockAll locks all shards, so that nobody reads a marker or writes.
func (s *store) lockAll() {
	for i := range s.shards {
		s.shards[i].Lock()
	}
}

func (s *store) unlockAll() {
	for i := range s.shards {
		s.shards[i].Unlock()
	}
}
