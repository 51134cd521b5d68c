package locmem

import "sync"

// The stores that are open, by name. A store is made by the first engine of its name and
// torn down when the last one has closed.
var stores = struct {
	sync.Mutex
	named map[string]*store
}{named: map[string]*store{}}

// acquire returns the store of that name with one more reference, and the bounds that are
// wanted.
func acquire(name string, w wanted) *store {
	stores.Lock()
	defer stores.Unlock()
	s := stores.named[name]
	if s == nil {
		s = newStore(name, w.over(bounds{entries: defaultMaxEntries, cost: defaultMaxCost}))
		stores.named[name] = s
	} else {
		s.resize(w)
	}
	s.references++
	return s
}

// release gives back a reference. An operation that still runs on a store that is torn down
// changes what nobody sees any more.
func release(s *store) {
	stores.Lock()
	s.references--
	last := s.references == 0
	if last {
		delete(stores.named, s.name)
	}
	stores.Unlock()
	if last {
		s.tearDown()
	}
}
