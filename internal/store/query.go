package store

import (
	"context"
	"slices"
	"sync"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// Somebody who can write to the server chooses how much memory an entry takes, within bounds, and in which groups it is, though its
// reader didn't name them. So entries that are looked up at once cost no more together than one of them may alone: neither the
// most memory nor a round trip for each.

// A query is what the engine is asked for at once, and its answers. It is used again, since it is
// the larger part of the memory that a lookup of many keys takes.
type query struct {
	asked   []string       // the keys, each group's once
	entries []int          // by the index of an entry's key: where that is in asked
	groups  map[string]int // by a group's key: where that is in asked
	last    *Groups        // of most lists all keys are in the same groups
	got     []answer
	memory  memory

	ran       int   // where in asked the last run began
	err       error // of the first run
	second    int   // where the groups begin in asked that were asked for with the second run, see Store.unasked; 0: there was none
	secondErr error // of that run
}

// An answer is what there is for one key.
type answer struct {
	item  engine.Item
	found bool
}

var queries = sync.Pool{New: func() any { return &query{groups: make(map[string]int)} }}

func newQuery() *query { return queries.Get().(*query) }

// maxQuery is for how many keys a query may have been that is kept for others.
const maxQuery = 1000

// free lets others use q.
func (q *query) free() {
	if len(q.got) > maxQuery {
		return
	}
	clear(q.asked)
	clear(q.groups)
	clear(q.got)
	*q = query{asked: q.asked[:0], entries: q.entries[:0], groups: q.groups, got: q.got[:0]}
	queries.Put(q)
}

// ask returns the query for keys and their groups, once the engine has answered. It is to be freed, also when there is an
// error.
func (c *Store) ask(ctx context.Context, keys []Key) (*query, error) {
	q := newQuery()
	for i := range keys {
		q.add(c, &keys[i])
	}
	return q, q.run(ctx, c)
}

// add adds key and its groups.
func (q *query) add(c *Store, key *Key) {
	q.entries = append(q.entries, len(q.asked))
	q.asked = append(q.asked, key.stored)
	if len(key.groups) == 0 || key.in != nil && key.in == q.last {
		return
	}
	q.last = key.in
	for _, groupKey := range c.groupKeys(key) {
		q.addGroup(groupKey)
	}
}

func (q *query) addGroup(groupKey string) {
	if _, known := q.groups[groupKey]; !known {
		q.groups[groupKey] = len(q.asked)
		q.asked = append(q.asked, groupKey)
	}
}

// run asks the engine for what was added since it was asked last. After an error there are those answers that came.
func (q *query) run(ctx context.Context, c *Store) error {
	q.ran = len(q.got)
	if q.ran == 0 {
		q.memory = memory{most: c.MaxDecoded, spare: c.MaxDecoded}
	}
	q.got = slices.Grow(q.got, len(q.asked)-q.ran)[:len(q.asked)]
	asked := q.asked[q.ran:]
	var err error
	if c.each != nil {
		err = c.each.GetEach(ctx, asked, func(i int, item engine.Item) { q.got[q.ran+i] = answer{item, true} })
	} else {
		var items map[string]engine.Item
		items, err = c.Engine.GetMany(ctx, asked)
		for i, key := range asked {
			got := &q.got[q.ran+i]
			got.item, got.found = items[key]
		}
	}
	return withoutKeys(err, asked...)
}

// addUnasked adds the groups that entries of the query are in, where they are not too many to count.
func (q *query) addUnasked(c *Store) {
	for _, at := range q.entries {
		var e entry.Entry
		if !q.got[at].found || e.Parse(q.got[at].item) != nil {
			continue
		}
		e.EachGroups(func(had []entry.Generation) {
			var others []string
			for i := range had {
				key := c.groupKey(had[i].Group)
				if _, asked := q.groups[key]; !asked {
					if others = append(others, key); len(others) > entry.MaxUnasked {
						return
					}
				}
			}
			for _, key := range others {
				q.addGroup(key)
			}
		})
	}
}

// A memory bounds what the values of a query take when they are decoded. Each may take what one of its length takes that is
// not compressed; what is beyond that is most, for all of them.
type memory struct {
	most  uint64 // for one of them; 0: as many as its length allows
	spare uint64 // what is left of it for all
	fair  uint64 // what an item of the length of the last one takes
	given uint64 // to the last one
}

// What is not compressed takes at most so much memory: what the codec counts, and as much again as the data of types that
// have a marshaler.
const (
	fairPerByte = 32
	fairFree    = 2 << 10
)

// forItem returns what the values of an item of that length may take.
func (m *memory) forItem(length int) uint64 {
	m.fair = fairFree + fairPerByte*uint64(length)
	m.given = min(m.most, m.fair+m.spare)
	return m.given
}

// take notes what the value of the last item has taken, whose entry is e.
func (m *memory) take(e *entry.Entry) {
	if e.MaxDecoded == 0 { // there is none, or no limit
		return
	}
	if taken := m.given - e.MaxDecoded; taken > m.fair {
		m.spare -= min(m.spare, taken-m.fair)
	}
}
