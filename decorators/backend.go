package decorators

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A backend is the name of a configured backend, which is looked up when it is used: in the set that the
// context names (see backends.With) or that On has named, otherwise in the program's. It may be named before
// Configure is called, and stays right after it.
type backend struct {
	name     string
	set      *backends.Caches // On's; nil: the program's
	function registered.Function
	last     atomic.Pointer[resolved]
}

// A resolved is what was found in a set that no context has named.
type resolved struct {
	caches *backends.Caches
	store  *store.Store
	err    error
}

// own returns the set in which the backend is unless a context names another.
func (b *backend) own() *backends.Caches {
	if b.set != nil {
		return b.set
	}
	return backends.Default()
}

// key distinguishes the sets of functions: nil is the program's.
func (b *backend) key() any {
	if b.set == nil {
		return nil
	}
	return b.set
}

// store returns the store for a call under ctx, which may be nil, or an error that matches
// cacheutils.ErrUnknownBackend, cacheutils.ErrClosed if it was closed, or cacheutils.ErrInvalidKey if another function has
// the name there. It may be closed by the time that it is used: then look it up again.
func (b *backend) store(ctx context.Context) (*store.Store, error) { return b.storeFor(steering(ctx)) }

// storeFor is store for a call that is steered so, or not if call is nil.
func (b *backend) storeFor(call *steer.Call) (*store.Store, error) {
	if call != nil {
		if caches := setOf(call); caches != nil {
			return b.storeIn(caches)
		}
	}
	caches := b.own()
	last := b.last.Load()
	if last == nil || last.caches != caches {
		last = &resolved{caches: caches}
		if last.store, last.err = caches.Store(b.name, store.Caller{}); last.err == nil {
			last.err = b.share(caches)
			b.askForKey(caches, last.store)
		}
		b.last.Store(last)
	}
	if last.err != nil {
		return nil, last.err
	}
	if err := last.store.Closed(); err != nil && b.own() == caches {
		return nil, err
	}
	return last.store, nil
}

// setFor returns the set in which the backend is for a call under ctx, which may be nil.
func (b *backend) setFor(ctx context.Context) *backends.Caches {
	if call := steering(ctx); call != nil {
		if caches := setOf(call); caches != nil {
			return caches
		}
	}
	return b.own()
}

// askForKey has the user name functions whose results others than this program might have.
func (b *backend) askForKey(caches *backends.Caches, s *store.Store) {
	if b.function.Nowhere && s.IsRemote() {
		caches.Functions(b.name, store.Caller{}).AskForKey(&b.function)
	}
}

// storeIn is store for a set that a context names. There may be many of them, so nothing is retained for each.
func (b *backend) storeIn(caches *backends.Caches) (*store.Store, error) {
	s, err := caches.Store(b.name, store.Caller{})
	if err == nil && b.function.Sole {
		err = b.share(caches)
	}
	if err != nil {
		return nil, err
	}
	return s, s.Closed()
}

// share has the function take part in what is under its name in the set, or returns an error if that is another one's.
func (b *backend) share(caches *backends.Caches) error {
	remove, err := caches.Functions(b.name, store.Caller{}).Add(&b.function)
	if remove != nil {
		runtime.AddCleanup(b, func(remove func()) { remove() }, remove)
	}
	return err
}

// steering returns what steers a call under ctx, which may be nil, or nil if nothing does.
func steering(ctx context.Context) *steer.Call {
	if steer.Used() {
		return store.Steering(ctx)
	}
	return nil
}

// setOf returns the set that a call uses before all others, or nil.
func setOf(call *steer.Call) *backends.Caches {
	caches, _ := call.Caches.(*backends.Caches)
	return caches
}

// steered returns ctx, or one that never ends if it is nil, for a call that may compute: what the function calls is
// steered as the call is.
func steered(ctx context.Context) context.Context {
	if ctx == nil || steer.Used() {
		return store.Steered(ctx)
	}
	return ctx
}

// isOwn reports whether s was found in a set that no context has named, lately.
func (b *backend) isOwn(s *store.Store) bool {
	last := b.last.Load()
	return last != nil && last.store == s
}
