package backends

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/logging"
)

// Settings say how to open a backend. The zero value of each field is its default.
type Settings struct {
	// Backend is the name of the engine, as it was registered: "locmem", "memcached", "dummy". "group" is memcached
	// and "group+locmem" locmem, with values that are served past their timeout.
	Backend string

	// Location contains the addresses of servers, a path, or the name of a store.
	Location []string

	// Timeout is how long entries live whose timeout (Django's word for TTL) is not given. 0 is 300 seconds,
	// as in Django; cacheutils.Forever never expires; with a negative one such entries aren't stored.
	Timeout time.Duration

	// KeyPrefix and Version stand before every key: KeyPrefix:Version:key. An empty Version
	// is "1".
	KeyPrefix string
	Version   string

	// KeyFunction, if not nil, makes the key that is stored from a key, the prefix and the
	// version, in place of KeyPrefix:Version:key.
	KeyFunction func(key, prefix, version string) string

	// Options are those that hold for all backends (see the package doc) and the engine's own. An unknown option,
	// one of the wrong type, or a value out of bounds is an error that names it.
	Options map[string]any

	// Open, if not nil, opens the engine in place of one that is registered: around a client or a *sql.DB that
	// the caller has, or for a test. Backend is then empty or "group". Open is called each time that the
	// backend is opened, and the backend closes what it returns.
	Open func(engine.Settings) (engine.Engine, error)
}

// Register makes an engine known under a name, for Settings.Backend and as a scheme of ParseURL. It is the
// short form of [engine.Register], with the same panics. open is called when a backend is configured, and
// neither it nor the engine may connect to anything before the first operation.
func Register(name string, open func(engine.Settings) (engine.Engine, error)) {
	engine.Register(engine.Driver{Names: []string{name}, Open: open})
}

const (
	defaultName    = "default"
	defaultTimeout = 300 * time.Second
	defaultVersion = "1"

	// compressAbove is the size in bytes above which encoded values are compressed, unless the
	// option compress_above says another.
	compressAbove = 1024

	// groupStale is how long the group backend serves a value past its timeout, as the original's
	// MINT_DELAY.
	groupStale = 30 * time.Second

	// lease is how long a computation may go on without a sign of life, unless the option lease says otherwise.
	lease = 5 * time.Second

	// operationTimeout is how long an operation may take, unless the option operation_timeout says otherwise.
	operationTimeout = 250 * time.Millisecond
)

const (
	groupBackend = "group"
	groupEngine  = "memcached" // what groupBackend is on
)

// groupAliases are the names of groupBackend in Django.
var groupAliases = []string{"cache_utils.group_backend.CacheClass", "django_cache_utils.group_backend.CacheClass"}

// splitGroup splits a Settings.Backend, or the scheme of a URL, into the engine's and whether it is grouped.
func splitGroup(backend string) (name string, grouped bool) {
	if backend == groupBackend {
		return groupEngine, true
	}
	return strings.CutPrefix(backend, groupBackend+"+")
}

// driverNamed returns the driver that has the name.
func driverNamed(name string) (engine.Driver, bool) {
	for _, d := range engine.Drivers() {
		if slices.Contains(d.Names, name) {
			return d, true
		}
	}
	return engine.Driver{}, false
}

// translated returns s without Django's names: of the backend and its options. What is left out of these is logged.
func (s Settings) translated() Settings {
	if slices.Contains(groupAliases, s.Backend) {
		s.Backend = groupBackend
		if d, ok := driverNamed(groupEngine); ok {
			s.Options = translatedOptions(d, s.Options)
		}
		return s
	}
	name, _ := splitGroup(s.Backend)
	if d, ok := driverNamed(name); ok && name != d.Name() {
		s.Backend, s.Options = strings.TrimSuffix(s.Backend, name)+d.Name(), translatedOptions(d, s.Options)
	}
	return s
}

func translatedOptions(d engine.Driver, options map[string]any) map[string]any {
	if d.Django == nil || len(options) == 0 {
		return options
	}
	mapped, leftOut := d.Django(options)
	if len(leftOut) > 0 {
		logging.Log(logging.LevelWarn, logging.Event{
			Action: logging.ActionNotice,
			Text:   fmt.Sprintf("cacheutils: OPTIONS of Django that mean nothing to %s are left out: %s", d.Name(), strings.Join(leftOut, ", ")),
		})
	}
	return mapped
}

// openEngine opens the engine that s names, or returns what its Open does.
func (s Settings) openEngine(given engine.Settings) (engine.Engine, error) {
	open := s.Open
	if open == nil {
		name, _ := splitGroup(s.Backend)
		d, ok := driverNamed(name)
		if !ok {
			return nil, fmt.Errorf("%w: no engine is registered as %q: there are %s; import the package of another one",
				cacheutils.ErrUnknownBackend, s.Backend, quoted(driverNames()))
		}
		open = d.Open
	} else if s.Backend != "" && s.Backend != groupBackend {
		return nil, fmt.Errorf("%w: both Backend, %q, and Open are set: leave one out", cacheutils.ErrConfig, s.Backend)
	}
	e, err := open(given)
	if err == nil && e == nil {
		err = fmt.Errorf("%w: neither an engine nor an error was returned by the function that opens it", cacheutils.ErrConfig)
	}
	return e, err
}

func driverNames() []string {
	var names []string
	for _, d := range engine.Drivers() {
		names = append(names, d.Name())
	}
	return names
}

// openCache opens the backend of that name in a set of that scope: see engine.Settings.
func openCache(name string, s Settings, scope uint64) (*Cache, error) {
	c, err := s.open(name, scope)
	if err != nil {
		return nil, errtext.Wrap(err, "backend %q", name)
	}
	return c, nil
}

func (s Settings) open(name string, scope uint64) (*Cache, error) {
	s = s.translated()
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	groupVersion := s.Version // as the original has it: nothing unless a version is set
	if s.Version == "" {
		s.Version = defaultVersion
	}
	if err := store.CheckPrefix(s.KeyPrefix, s.Version); err != nil {
		return nil, err
	}
	_, grouped := splitGroup(s.Backend)
	common, own, err := splitOptions(s.Options, grouped)
	if err != nil {
		return nil, err
	}
	e, err := s.openEngine(engine.Settings{
		Location: s.Location, Options: own, OperationTimeout: common.operationTimeout, Scope: scope,
	})
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
		CompressAbove:    common.compressAbove,
		Stale:            common.stale,
		Lease:            common.lease,
		OperationTimeout: common.operationTimeout,
		StoreLater:       common.storeLater,
	})}, nil
}

// commonOptions are those that all backends have.
type commonOptions struct {
	compressAbove    int
	stale            time.Duration
	lease            time.Duration
	operationTimeout time.Duration
	storeLater       bool
}

func isCommonOption(name string) bool {
	switch strings.ToLower(name) {
	case "compress_above", "stale", "lease", "store_later", "operation_timeout":
		return true
	default:
		return false
	}
}

// splitOptions reads the common options and returns the others.
func splitOptions(given map[string]any, grouped bool) (common commonOptions, own map[string]any, err error) {
	mine, own := maps.Clone(given), maps.Clone(given)
	maps.DeleteFunc(mine, func(name string, _ any) bool { return !isCommonOption(name) })
	maps.DeleteFunc(own, func(name string, _ any) bool { return isCommonOption(name) })
	r := engine.ReadOptions("backends", mine)
	common.compressAbove = r.Int("compress_above", compressAbove)
	if grouped {
		common.stale = groupStale
	}
	common.stale = r.NonNegativeDuration("stale", common.stale)
	common.lease = r.PositiveDuration("lease", lease)
	common.storeLater = r.Bool("store_later", false)
	common.operationTimeout = r.PositiveDuration("operation_timeout", operationTimeout)
	return common, own, r.Err()
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
