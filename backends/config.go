package backends

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/dummy"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/decorated"
	"github.com/cacheutils/cacheutils/internal/options"
	"github.com/cacheutils/cacheutils/internal/store"
)

// The contract of a store, and how one is opened: see package engine.
type (
	Settings = engine.Settings
)

// Config has the settings of each backend by its name, as Django's CACHES. The name
// "default" is the one that is used where none is given.
type Config map[string]Settings

// UnmarshalJSON reads an object with the settings of each backend, under Django's names: see
// Settings. An error names the backend and the setting.
func (c *Config) UnmarshalJSON(data []byte) error {
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(data, &byName); err != nil {
		return fmt.Errorf("backends: %w: backends are an object by their names: %w", cacheutils.ErrConfig, err)
	}
	*c = make(Config, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		var s Settings
		if err := json.Unmarshal(byName[name], &s); err != nil {
			return fmt.Errorf("backends: backend %q: %w", name, err)
		}
		(*c)[name] = s
	}
	return nil
}

const (
	defaultName    = "default"
	defaultTimeout = 300 * time.Second
	defaultVersion = "1"
)

// The engines that there are, and the set of caches in use.
var (
	registry = struct {
		sync.Mutex
		open map[string]func(Settings) (engine.Engine, error)
	}{open: map[string]func(Settings) (engine.Engine, error){
		"dummy":     dummy.Open,
		"locmem":    locmem.Open,
		"memcached": memcached.Open,
	}}

	configuring sync.Mutex // one Configure at a time
	configured  atomic.Pointer[Caches]
)

// Caches are a set of backends by name. It never changes.
type Caches struct {
	byName map[string]*Cache
}

// Register makes an engine known under a name, for Settings.Backend and as a scheme of
// ParseURL. open is called by Configure, and neither it nor the engine may connect to
// anything before they are asked for an item. Register panics if there is an engine of that
// name, or if the name can't be a scheme.
func Register(backend string, open func(Settings) (engine.Engine, error)) {
	registry.Lock()
	defer registry.Unlock()
	if open == nil {
		panic(fmt.Sprintf("backends: Register %q: open is nil", backend))
	}
	if backend == "" || strings.Trim(backend, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
		panic(fmt.Sprintf("backends: Register %q: use a name of lower-case letters, digits, '_', '-' and '.'", backend))
	}
	if _, dup := registry.open[backend]; dup {
		panic(fmt.Sprintf("backends: Register %q: there is an engine of that name already", backend))
	}
	registry.open[backend] = open
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
			errs = append(errs, fmt.Errorf("backends: %s, decorated at %s: %w", f.Name, f.Place, err))
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
		panic("backends: the embedded default can't be opened: " + err.Error())
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

func openCache(name string, s Settings) (*Cache, error) {
	c, err := newCache(name, s)
	if err != nil {
		return nil, fmt.Errorf("backends: backend %q: %w", name, err)
	}
	return c, nil
}

func newCache(name string, s Settings) (*Cache, error) {
	engineName, grouped := s.Backend, false
	if s.Backend == groupBackend {
		engineName, grouped = "memcached", true
	} else if name, ok := strings.CutPrefix(s.Backend, groupBackend+"+"); ok {
		engineName, grouped = name, true
	}
	registry.Lock()
	openEngine := registry.open[engineName]
	names := slices.Sorted(maps.Keys(registry.open))
	registry.Unlock()
	if openEngine == nil {
		return nil, fmt.Errorf("%w: no engine is registered as %q: there are %s", cacheutils.ErrUnknownBackend, s.Backend, quoted(names))
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	groupVersion := s.Version // as the original has it: nothing unless a version is set
	if s.Version == "" {
		s.Version = defaultVersion
	}
	if err := store.CheckHead(s.KeyPrefix, s.Version); err != nil {
		return nil, err
	}
	own, rest, err := splitOptions(s.Options, grouped)
	if err != nil {
		return nil, err
	}
	s.Options, s.OperationTimeout = rest, own.operationTimeout
	e, err := openEngine(s)
	if err != nil {
		return nil, err
	}
	return &Cache{store.New(store.Config{
		Name:             name,
		Engine:           e,
		Timeout:          s.Timeout,
		KeyPrefix:        s.KeyPrefix,
		Version:          s.Version,
		GroupVersion:     groupVersion,
		KeyFunction:      s.KeyFunction,
		CompressAbove:    own.compressAbove,
		Stale:            own.stale,
		Lease:            own.lease,
		OperationTimeout: own.operationTimeout,
		StoreLater:       own.storeLater,
	})}, nil
}

// compressAbove is the size in bytes above which encoded values are compressed, unless the
// option compress_above says another.
const compressAbove = 1024

// groupStale is how long the group backend serves a value past its timeout, as the original's
// MINT_DELAY.
const groupStale = 30 * time.Second

const groupBackend = "group"

// lease is how long a computation may go on without a sign of life, unless the option lease says otherwise.
const lease = 5 * time.Second

// operationTimeout is how long an operation may take, unless the option operation_timeout says otherwise.
const operationTimeout = 250 * time.Millisecond

type cacheOptions struct {
	compressAbove    int
	stale            time.Duration
	lease            time.Duration
	operationTimeout time.Duration
	storeLater       bool
}

// splitOptions reads the options that hold for every engine and returns the others.
func splitOptions(given map[string]any, grouped bool) (own cacheOptions, rest map[string]any, err error) {
	mine := make(map[string]any)
	rest = make(map[string]any)
	for name, value := range given {
		switch strings.ToLower(name) {
		case "compress_above", "stale", "lease", "store_later", "operation_timeout":
			mine[name] = value
		default:
			rest[name] = value
		}
	}
	r := options.Read("backends", mine)
	own.compressAbove = r.Int("compress_above", compressAbove)
	if grouped {
		own.stale = groupStale
	}
	own.stale = r.NonNegative("stale", own.stale)
	own.lease = r.Duration("lease", lease)
	own.storeLater = r.Bool("store_later", false)
	own.operationTimeout = r.Duration("operation_timeout", operationTimeout)
	return own, rest, r.Err()
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
