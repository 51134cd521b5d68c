package store

import (
	"context"
	"slices"
	"sync"
)

// A query is what the engine is asked for at once, and its answers. It is used again, since it is
// the larger part of the memory that a look for many keys takes.
type query struct {
	asked  []string       // the keys, and after them those of their groups, each once
	places map[string]int // of the groups' keys
	got    []answer
}

var queries = sync.Pool{New: func() any { return &query{places: make(map[string]int)} }}

// maxQuery is for how many keys a query may have been that is kept for others.
const maxQuery = 1000

// free lets others use q.
func (q *query) free() {
	if len(q.got) > maxQuery {
		return
	}
	clear(q.asked)
	clear(q.places)
	clear(q.got)
	queries.Put(q)
}

// ask asks the engine for the keys and their groups, in one round trip to each server. The query is
// to be freed, also when there is an error.
func (c *Store) ask(ctx context.Context, keys []Key) (*query, error) {
	q := queries.Get().(*query)
	q.asked = slices.Grow(q.asked[:0], len(keys))
	for i := range keys {
		q.asked = append(q.asked, keys[i].stored)
	}
	var last *Groups // of most lists all keys are in the same groups
	for i := range keys {
		key := &keys[i]
		if len(key.groups) == 0 || key.in != nil && key.in == last {
			continue
		}
		last = key.in
		for _, groupKey := range c.groupKeys(key) {
			if _, known := q.places[groupKey]; !known {
				q.places[groupKey] = len(q.asked)
				q.asked = append(q.asked, groupKey)
			}
		}
	}
	q.got = slices.Grow(q.got[:0], len(q.asked))[:len(q.asked)]
	return q, c.getInto(ctx, q.asked, q.got)
}

// assess is Cache.assess for the key with index i, where ask has returned err. That counts if it
// may be why something isn't there.
func (q *query) assess(ctx context.Context, c *Store, f *finding, key *Key, i int, err error) error {
	var few [8][]byte
	complete, ids := q.got[i].there, few[:0]
	for _, groupKey := range c.groupKeys(key) {
		group := &q.got[q.places[groupKey]]
		complete = complete && group.there
		ids = append(ids, group.item.Value)
	}
	if err != nil && !complete {
		return err
	}
	return c.assess(ctx, f, key, q.got[i].item, q.got[i].there, ids)
}
