package backends

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils"
	_ "github.com/cacheutils/cacheutils/backends/dummy"     // is registered
	_ "github.com/cacheutils/cacheutils/backends/locmem"    // is registered
	_ "github.com/cacheutils/cacheutils/backends/memcached" // is registered
	"github.com/cacheutils/cacheutils/internal/decorated"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Config has the settings of each backend by its name, as Django's CACHES. The name
// "default" is the one that is used where none is given.
type Config map[string]Settings

// The set of caches in use.
var (
	configuring sync.Mutex // one Configure at a time
	configured  atomic.Pointer[Caches]
)

// Caches are a set of backends by name. It never changes.
type Caches struct {
	byName map[string]*Cache
}

// Configure replaces the whole set of backends. Without a "default" in config, that is an
// embedded locmem. When anything is wrong with any of them, nothing changes and the error
// names the backend and the setting. No server is contacted.
//
// An error that matches ErrUnknownBackend, or ErrUnsupportedValue, also comes back when a
// function that was decorated before uses a backend that isn't in config, or one that can't
// hold its results; the new set is in force nevertheless, and those functions compute at
// each call until that is mended.
//
// The backends that were in use before are closed, and stay so: whoever has kept one of them gets errors
// that match cacheutils.ErrClosed. Configure doesn't wait for them. Computations under way with them are stored
// where they began, and the last one that ends releases connections, goroutines and memory.
func Configure(config Config) error {
	configuring.Lock()
	defer configuring.Unlock()
	next, err := openSet(config)
	if err != nil {
		return err
	}
	old := configured.Swap(next)
	old.close()
	return next.check(decorated.Functions())
}

func openSet(config Config) (*Caches, error) {
	s := &Caches{byName: make(map[string]*Cache)}
	all := Config{defaultName: {Backend: "locmem"}}
	maps.Copy(all, config)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c, err := openCache(name, all[name])
		if err != nil {
			s.close()
			return nil, err
		}
		s.byName[name] = c
	}
	return s, nil
}

// close closes the caches of s, which may be nil, and waits for nothing. Nobody can be told that it
// failed: what they held is given up.
func (s *Caches) close() {
	if s == nil {
		return
	}
	for _, c := range s.byName {
		c.store.Retire()
	}
}

// Store is for the packages of this module: it returns what the backend of that name is made of, or the error of
// Get, or one that matches cacheutils.ErrClosed if somebody has closed it.
func (s *Caches) Store(name string) (*store.Store, error) {
	c, err := s.Get(name)
	if err != nil {
		return nil, err
	}
	return c.store, nil
}

// check returns an error that names each function that can't use its backend.
func (s *Caches) check(functions []decorated.Function) error {
	var errs []error
	for _, f := range functions {
		if err := s.fits(f); err != nil {
			errs = append(errs, errtext.Wrap(err, "%s, decorated at %s", f.Name, f.Place))
		}
	}
	return errors.Join(errs...)
}

func (s *Caches) fits(f decorated.Function) error {
	c, err := s.Get(f.Backend)
	if err != nil {
		return err
	}
	return c.store.Holds(store.NewTask(f.Name, f.Type, f.Shared))
}

// Get returns the backend of that name, or an error that matches ErrUnknownBackend and lists the names there are.
func (s *Caches) Get(name string) (*Cache, error) {
	if c, ok := s.byName[name]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%w %q: configured are %s", cacheutils.ErrUnknownBackend, name,
		quoted(slices.Sorted(maps.Keys(s.byName))))
}

// Default returns the set in use. The first call without a Configure before makes the
// default one.
func Default() *Caches {
	if s := configured.Load(); s != nil {
		return s
	}
	configuring.Lock()
	defer configuring.Unlock()
	if s := configured.Load(); s != nil {
		return s
	}
	s, err := openSet(nil)
	if err != nil {
		panic("cacheutils: the embedded default can't be opened: " + err.Error())
	}
	configured.Store(s)
	return s
}

// Get returns the backend of that name, or an error that matches ErrUnknownBackend and lists
// the names there are. Until the next Configure it is the same *Cache each time; after that
// the one got before is closed and Get has to be called again.
func Get(name string) (*Cache, error) { return Default().Get(name) }

// Names returns the names of the configured backends, sorted.
func Names() []string { return slices.Sorted(maps.Keys(Default().byName)) }
