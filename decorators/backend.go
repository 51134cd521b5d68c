package decorators

import (
	"sync/atomic"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A backend is a backend by name that is looked up when it is used: it may be named before Configure is called,
// and stays right after it.
type backend struct {
	name string
	last atomic.Pointer[resolved]
}

// A resolved is what was found in one set of backends.
type resolved struct {
	caches *backends.Caches
	store  *store.Store
	err    error
}

// store returns the backend's store, or an error that matches cacheutils.ErrUnknownBackend, or
// cacheutils.ErrClosed if somebody has closed it. It may be closed by the time that it is used: then look it up again.
func (b *backend) store() (*store.Store, error) {
	caches := backends.Default()
	last := b.last.Load()
	if last == nil || last.caches != caches {
		last = &resolved{caches: caches}
		last.store, last.err = caches.Store(b.name)
		b.last.Store(last)
	}
	if last.err != nil {
		return nil, last.err
	}
	if err := last.store.Closed(); err != nil && backends.Default() == caches {
		return nil, err
	}
	return last.store, nil
}
