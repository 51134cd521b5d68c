package backends

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils"
	_ "github.com/cacheutils/cacheutils/backends/dummy"     // is registered
	_ "github.com/cacheutils/cacheutils/backends/locmem"    // is registered
	_ "github.com/cacheutils/cacheutils/backends/memcached" // is registered
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/logging"
)

// Config has the settings of each backend by its name, as Django's CACHES. The name
// "default" is the one that is used where none is given.
type Config map[string]Settings

// Caches are a set of backends by name. The program has one, which Configure makes; [New] makes others: for a
// library, a tenant, a test. Two sets share nothing that they weren't told to share: decorated functions of
// one name in two sets are two functions, and locmem without a Location is a store of each set's own. What sets
// may share is a server, with the same KeyPrefix and Version, and a store of locmem that both name by a
// Location.
//
// A set never changes, but can be closed. The zero value has no backends. Its methods may be called by many
// goroutines at once.
type Caches struct {
	byName  map[string]*Cache
	program bool // it is the program's, or was
	lines   logging.Limiter

	functions map[string]*registered.Names // by backend: of the decorated functions that have used it
	missing   sync.Map                     // likewise, of backends that aren't in the set
	forget    sync.Once                    // both, when it is closed
}

// The program's set.
var (
	configuring sync.Mutex // one Configure at a time
	configured  atomic.Pointer[Caches]
)

// scopes numbers the sets that are not the program's.
var scopes atomic.Uint64

// New makes a set of one's own. Without a "default" in config, that is an embedded locmem. An error names each
// backend that is wrong, and the setting, as that of Configure. No server is contacted.
//
// A library uses its set with decorators.On and cache.On, and the user's Configure doesn't touch it. [With] has
// calls use it whatever they say.
func New(config Config) (*Caches, error) { return openSet(config, scopes.Add(1)) }

// Configure replaces the program's set of backends. Without a "default" in config, that is an embedded locmem.
// When anything is wrong with any of them, nothing changes, and the error names each backend that is wrong, and the setting. No
// server is contacted. Decorated functions that name a backend which isn't there are not an error: they are logged, once,
// and [Check] names them.
//
// The backends that were in use before are closed, and stay so: one that was kept returns errors
// that match cacheutils.ErrClosed. Configure doesn't wait for them. Computations under way with them are stored
// where they began, and the last one that ends releases connections, goroutines and memory. What is in a
// locmem store that the new set has, too, stays.
func Configure(config Config) error {
	configuring.Lock()
	defer configuring.Unlock()
	next, err := openSet(config, 0)
	if err != nil {
		return err
	}
	next.program = true
	configured.Swap(next).retire()
	next.logLost()
	return nil
}

// maxLost is how many functions logLost names, and logPlain servers.
const maxLost = 10

// atMost returns the first n of names, and how many more there are.
func atMost(n int, names []string) []string {
	if more := len(names) - n; more > 0 {
		return append(slices.Clip(names[:n]), fmt.Sprintf("and %d more", more))
	}
	return names
}

// logLost logs the decorated functions that name a backend which isn't in the program's set, in one line.
func (s *Caches) logLost() {
	var lost []string
	for _, f := range registered.Functions(nil) {
		if _, ok := s.byName[f.Backend]; !ok {
			lost = append(lost, fmt.Sprintf("%s, decorated at %s, on %q", f.Name, f.Place, f.Backend))
		}
	}
	if len(lost) == 0 {
		return
	}
	lost = atMost(maxLost, lost)
	logging.Log(logging.LevelError, logging.Event{
		Action: logging.ActionNotice,
		Text: fmt.Sprintf("cacheutils: functions compute at each call, since their backend is not configured: %s; configured are %s",
			strings.Join(lost, "; "), quoted(s.Names())),
	})
}

func openSet(config Config, scope uint64) (*Caches, error) {
	s := &Caches{byName: make(map[string]*Cache), functions: make(map[string]*registered.Names)}
	complete := false
	defer func() { // also when an Open panics
		if !complete {
			s.retire()
		}
	}()
	all := Config{defaultName: {Backend: "locmem"}}
	maps.Copy(all, config)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c, err := openCache(name, all[name], scope); err != nil {
			errs = append(errs, err)
		} else {
			s.byName[name] = c
			s.functions[name] = registered.OpenNames(all[name].domain(scope))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	complete = true
	s.logPlain()
	return s, nil
}

// logPlain logs, in one line, the servers beyond this host to which what is cached goes without TLS, unless it was said
// that it is to be so.
func (s *Caches) logPlain() {
	var plain []string
	for _, name := range s.Names() {
		for _, address := range plainServers(s.byName[name].store.Engine) {
			plain = append(plain, fmt.Sprintf("%s of %q", address, name))
		}
	}
	if len(plain) > 0 {
		logging.Log(logging.LevelWarn, logging.Event{
			Action: logging.ActionNotice,
			Text: fmt.Sprintf("cacheutils: what is cached goes to other hosts without TLS, where others may read and change it on its way: %s; "+
				"set the option tls, or tls: false if that is as it should be", strings.Join(atMost(maxLost, plain), ", ")),
		})
	}
}

// retire closes the caches of s, which may be nil, and waits for nothing. No caller can get its errors.
func (s *Caches) retire() {
	if s == nil {
		return
	}
	for _, c := range s.byName {
		c.store.Retire()
	}
	s.forget.Do(s.forgetFunctions)
}

func (s *Caches) forgetFunctions() {
	for _, names := range s.functions {
		names.Close()
	}
	s.missing.Range(func(_, names any) bool {
		names.(*registered.Names).Close()
		return true
	})
}

// Get returns the backend of that name, or an error that matches cacheutils.ErrUnknownBackend and lists the names
// there are. It is the same *Cache each time, also when it is closed.
func (s *Caches) Get(name string) (*Cache, error) {
	if s == nil || s.byName == nil {
		return nil, fmt.Errorf("%w %q: the set has no backends, since it was not made with backends.New", cacheutils.ErrUnknownBackend, name)
	}
	if c, ok := s.byName[name]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("%w %q: configured are %s", cacheutils.ErrUnknownBackend, name,
		quoted(slices.Sorted(maps.Keys(s.byName))))
}

// Store is for the packages of this module, since others have no store.Caller: it returns what the backend of that name
// is made of, or the error of Get.
func (s *Caches) Store(name string, _ store.Caller) (*store.Store, error) {
	c, err := s.Get(name)
	if err != nil {
		return nil, err
	}
	return c.store, nil
}

// Lines is for the packages of this module, as Store: it returns what limits the lines about calls that can't use a
// backend of the set.
func (s *Caches) Lines(_ store.Caller) *logging.Limiter { return &s.lines }

// Functions is for the packages of this module, as Store is: it returns the names of the decorated functions whose results
// are in the backend of that name, which need not be there.
func (s *Caches) Functions(name string, _ store.Caller) *registered.Names {
	if names, ok := s.functions[name]; ok {
		return names
	}
	names, ok := s.missing.Load(name)
	if !ok {
		names, _ = s.missing.LoadOrStore(name, registered.OpenNames(""))
	}
	return names.(*registered.Names)
}

// Names returns the names of the backends, sorted.
func (s *Caches) Names() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.byName))
}

// Check returns an error that names each decorated function of the set that can't use its backend: which isn't in the
// set (cacheutils.ErrUnknownBackend), or can't hold its results (cacheutils.ErrUnsupportedValue). Such functions
// compute at each call. The functions of the set are those with decorators.On, and for the program's set all that have
// no On. Call it when all functions are decorated: at the start of main, or in a test.
func (s *Caches) Check() error {
	if s == nil {
		return nil
	}
	functions := registered.Functions(s)
	if s.program {
		functions = append(functions, registered.Functions(nil)...)
	}
	var errs []error
	for _, f := range functions {
		if err := s.holds(f); err != nil {
			errs = append(errs, errtext.Wrap(err, "%s, decorated at %s", f.Name, f.Place))
		}
	}
	return errors.Join(errs...)
}

func (s *Caches) holds(f registered.Function) error {
	c, err := s.Get(f.Backend)
	if err != nil {
		return err
	}
	return c.store.Holds(store.NewTask(f.Name, f.Type, f.Shared))
}

// Close closes all backends of the set at once. They begin nothing from then on: their operations return errors that
// match cacheutils.ErrClosed, and decorated functions run without the cache. It waits until no result is being
// stored, as long as an operation may take at most (the option operation_timeout), and not for computations that
// are under way: these are stored where they began, and the last one releases connections, goroutines and memory. A
// locmem store that another set has, too, stays. Close may be called again.
func (s *Caches) Close() error {
	if s == nil {
		return nil
	}
	errs := make([]error, len(s.byName))
	var all sync.WaitGroup
	for i, name := range s.Names() {
		all.Go(func() { errs[i] = s.byName[name].Close() })
	}
	all.Wait()
	s.forget.Do(s.forgetFunctions)
	return errors.Join(errs...)
}

// Default returns the program's set. The first call without a Configure before makes an embedded locmem.
func Default() *Caches {
	if s := configured.Load(); s != nil {
		return s
	}
	return makeDefault()
}

// makeDefault makes the set that is used without a Configure.
func makeDefault() *Caches {
	configuring.Lock()
	defer configuring.Unlock()
	if s := configured.Load(); s != nil {
		return s
	}
	s, err := openSet(nil, 0)
	if err != nil {
		panic("cacheutils: the embedded default can't be opened: " + err.Error())
	}
	s.program = true
	configured.Store(s)
	return s
}

// Get returns the backend of that name in the program's set, or an error that matches cacheutils.ErrUnknownBackend and
// lists the names there are. Until the next Configure it is the same *Cache each time; after that
// the one got before is closed and Get has to be called again.
func Get(name string) (*Cache, error) { return Default().Get(name) }

// Names returns the names of the backends of the program's set, sorted.
func Names() []string { return Default().Names() }

// Check is Caches.Check of the program's set: an error names the decorated functions whose backend isn't there, or
// can't hold their results.
func Check() error { return Default().Check() }

// Close is Caches.Close of the program's set, for its end. Until the next Configure, decorated functions run without
// the cache.
func Close() error { return Default().Close() }

// With returns a context under which cached functions and package cache use the set c, whatever set they would
// use otherwise: a tenant's, or that of a test while others run. It is found by the names of backends in c.
// Functions that are called in a computation use the set that the call uses which computes, also where they are
// not given its context, as long as they run on its goroutine; and so do refreshes in the background.
// Operations of a Cache that a caller has, and the functions of this package, ignore it. With panics if ctx or c is
// nil.
func With(ctx context.Context, c *Caches) context.Context {
	if ctx == nil {
		panic("cacheutils: backends.With has a nil context: pass context.Background()")
	}
	if c == nil {
		panic("cacheutils: backends.With has a nil set: make one with backends.New, or use backends.Default()")
	}
	return steer.With(ctx, func(call *steer.Call) { call.Caches = c })
}
