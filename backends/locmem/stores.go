package locmem

import "sync"

// The stores that are open, by name. A store is there while an engine of its name is open,
// and starts when it is first used, so that opening an engine starts nothing.
var stores = struct {
	sync.Mutex
	named map[storeName]*store
}{named: map[storeName]*store{}}

// A storeName is what engines have in common that share a store.
type storeName struct {
	location string
	scope    uint64 // of engines without a location: see engine.Settings
}

// acquire returns the store of that name with one more reference, and the bounds that are
// wanted.
func acquire(name storeName, w wanted) *store {
	stores.Lock()
	defer stores.Unlock()
	s := stores.named[name]
	if s == nil {
		s = newStore(name)
		stores.named[name] = s
	}
	s.resize(w)
	s.references++
	return s
}

// release gives back a reference, and tears the store down with the last one. An engine of its name
// that is opened from then on has another store.
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
