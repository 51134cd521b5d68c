package backends

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
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
	// Backend is the name of the engine, as it was registered: "locmem", "memcached", "dummy", or a class path of
	// Django. "group" is memcached and "group+locmem" locmem, with values that are served past their timeout.
	Backend string

	// Location contains the addresses of servers, a path, or the name of a store.
	Location []string

	// Timeout is how long entries live whose timeout (Django's word for TTL) is not given. 0 is 300 seconds,
	// as in Django; cacheutils.Forever never expires; with a negative one such entries aren't stored. One above 0 and
	// below 1ms is an error, since it was meant as a number of seconds.
	Timeout time.Duration

	// KeyPrefix and Version stand before every key: KeyPrefix:Version:key. An empty Version
	// is "1" there, but not in the keys of groups, where it is empty, as in django-cache-utils.
	//
	// A Version separates invalidations, too: those of one version don't reach what another has stored, so it is
	// not for deploys. These need none, since values of types that have changed are told apart by themselves.
	KeyPrefix string
	Version   string

	// KeyFunction, if not nil, makes the key that is stored from a key, the prefix and the
	// version, in place of KeyPrefix:Version:key. It makes one key for each, the same each time, without spaces
	// and control characters; Configure tries it. Many goroutines may call it at once.
	KeyFunction func(key, prefix, version string) string

	// Options are those that hold for all backends (see the package doc) and the engine's own. An unknown option,
	// one of the wrong type, or a value out of bounds is an error that names it.
	Options map[string]any

	// Open, if not nil, opens the engine in place of one that is registered: around a client or a *sql.DB that
	// the caller has, or for a test. Backend is then empty or "group". Open is called each time that the
	// backend is opened, and the backend closes what it returns.
	Open func(engine.Settings) (engine.Engine, error)
}

// Format writes the settings, whatever the verb, without users and passwords in locations, and without the values of those options that
// are secret, or the engine's own: that is, for a log. Package fmt does not call it for settings in an unexported field of a
// struct, and shows all of them.
func (s Settings) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// LogValue returns what Format writes.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s Settings) text() string {
	text := fmt.Sprintf("{Backend: %q, Location: %s, Timeout: %v, KeyPrefix: %q, Version: %q, Options: %s",
		errtext.WithoutPassword(s.Backend), errtext.Locations(s.Location), s.Timeout, s.KeyPrefix, s.Version, errtext.Options(s.Options, engine.CommonOptions()))
	if s.KeyFunction != nil {
		text += ", KeyFunction: given"
	}
	if s.Open != nil {
		text += ", Open: given"
	}
	return text + "}"
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

	// maxDecoded is how many bytes of memory an encoded value may take when it is read, unless the option max_decoded_size
	// says another.
	maxDecoded = 64 << 20

	// groupStale is how long the group backend serves a value past its timeout, as the original's
	// MINT_DELAY.
	groupStale = 30 * time.Second

	// lease is how long a computation may go on without a sign of life, unless the option lease says otherwise.
	lease      = 5 * time.Second
	leastLease = 100 * time.Millisecond // renewals take a round trip every third of it
	mostLease  = 24 * time.Hour         // what a process leaves behind that dies ends some day

	// operationTimeout is how long an operation may take, unless the option operation_timeout says otherwise.
	operationTimeout     = 250 * time.Millisecond
	mostOperationTimeout = time.Minute
)

// translated returns s without Django's names: of the backend and its options. What is left out of these is logged.
func (s Settings) translated() Settings {
	name, _ := splitGroup(s.Backend)
	d, ok := driverNamed(name)
	switch {
	case ok && name == d.Name():
		return s
	case ok:
		s.Backend = strings.TrimSuffix(s.Backend, name) + d.Name()
	case slices.Contains(groupAliases, s.Backend):
		s.Backend = groupBackend
		d, _ = driverNamed(groupEngine)
	default:
		return s
	}
	if d.Name() == "dummy" { // DummyCache ignores what is the location of the cache that it stands for
		s.Location = nil
	}
	s.Options = translatedOptions(d, s.Options)
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
			return nil, unknownEngine(s.Backend)
		}
		open = d.Open
	} else if s.Backend != "" && s.Backend != groupBackend {
		return nil, fmt.Errorf("%w: both Backend, %q, and Open are set: leave one out", cacheutils.ErrConfig, errtext.WithoutPassword(s.Backend))
	}
	e, err := open(given)
	if err != nil {
		return nil, err
	}
	if err := checkEngine(e); err != nil {
		return nil, fmt.Errorf("%w: the function that opens the engine returned no error, and %w", cacheutils.ErrConfig, err)
	}
	return e, nil
}

// An inBackend is what is wrong with a backend, which each line of its text names.
type inBackend struct {
	name string
	err  error
}

func (b inBackend) Error() string {
	lines := strings.Split(errtext.Bare(b.err).Error(), "\n")
	for i, line := range lines {
		lines[i] = fmt.Sprintf("cacheutils: backend %q: %s", b.name, line)
	}
	return strings.Join(lines, "\n")
}

func (b inBackend) Unwrap() error { return b.err }

// openCache opens the backend of that name in a set of that scope: see engine.Settings.
func openCache(name string, s Settings, scope uint64) (*Cache, error) {
	c, err := s.open(name, scope)
	if err != nil {
		return nil, inBackend{name, err}
	}
	return c, nil
}

func (s Settings) open(name string, scope uint64) (*Cache, error) {
	s = s.translated()
	errs := []error{checkName(name), checkTimeout(s.Timeout)}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	groupVersion := s.Version // as the original has it: nothing unless a version is set
	if s.Version == "" {
		s.Version = defaultVersion
	}
	errs = append(errs, store.CheckPrefix(s.KeyPrefix, s.Version), store.CheckKeyFunction(s.KeyFunction, s.KeyPrefix, s.Version))
	_, grouped := splitGroup(s.Backend)
	common, own, err := splitOptions(s.Options, grouped)
	errs = append(errs, err)
	e, err := s.openEngine(engine.Settings{
		Location: s.Location, Options: own, OperationTimeout: common.operationTimeout, Scope: scope,
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		if e != nil {
			e.Close()
		}
		return nil, err
	}
	return &Cache{store.New(store.Config{
		Name:             name,
		Engine:           common.sealing.around(e, groupVersion),
		Timeout:          s.Timeout,
		KeyPrefix:        s.KeyPrefix,
		Version:          s.Version,
		GroupVersion:     groupVersion,
		GroupPrefix:      common.groupPrefix,
		KeyFunction:      s.KeyFunction,
		CompressAbove:    common.compressAbove,
		MaxDecoded:       uint64(common.maxDecoded),
		Stale:            common.stale,
		Lease:            common.lease,
		OperationTimeout: common.operationTimeout,
		StoreLater:       common.storeLater,
		KeySecret:        common.sealing.keySecret,
	})}, nil
}

// checkName returns an error if a backend of that name was probably meant to have another one.
func checkName(name string) error {
	switch trimmed := strings.TrimSpace(name); {
	case trimmed == "":
		return fmt.Errorf("%w: it has no name: what is used where no name is given is %q", cacheutils.ErrConfig, defaultName)
	case name != defaultName && strings.EqualFold(trimmed, defaultName):
		return fmt.Errorf("%w: its name differs from %q in the spelling alone, and functions that name no backend use that one: write that, or choose another name", cacheutils.ErrConfig, defaultName)
	default:
		return nil
	}
}

// checkTimeout returns an error if d was probably meant to be a number of another unit.
func checkTimeout(d time.Duration) error {
	if d <= 0 || d >= time.Millisecond {
		return nil
	}
	return fmt.Errorf("%w: Timeout is %v, less than 1ms: did you mean %d*time.Second? In JSON and URLs it is in seconds", cacheutils.ErrConfig, d, d)
}

// domain identifies the store in which the backend keeps its entries, with what stands before their keys, as far as
// settings tell: in a set of that scope. It is empty if they don't.
func (s Settings) domain(scope uint64) string {
	if s.Open != nil {
		return ""
	}
	name, _ := splitGroup(s.translatedName())
	if len(s.Location) > 0 {
		scope = 0
	}
	return fmt.Sprintf("%q %q %d %q %q %x", name, slices.Sorted(slices.Values(s.Location)), scope,
		s.KeyPrefix, cmp.Or(s.Version, defaultVersion), reflect.ValueOf(s.KeyFunction).Pointer())
}

// translatedName returns s.Backend without Django's names.
func (s Settings) translatedName() string {
	s.Options = nil
	return s.translated().Backend
}

// commonOptions are those that all backends have.
type commonOptions struct {
	compressAbove    int
	maxDecoded       int
	stale            time.Duration
	lease            time.Duration
	operationTimeout time.Duration
	storeLater       bool
	groupPrefix      string
	sealing          sealing
}

func isCommonOption(name string) bool {
	return slices.Contains(engine.CommonOptions(), strings.ToLower(name))
}

// splitOptions reads the common options and returns the others.
func splitOptions(given map[string]any, grouped bool) (common commonOptions, own map[string]any, err error) {
	mine, own := maps.Clone(given), maps.Clone(given)
	maps.DeleteFunc(mine, func(name string, _ any) bool { return !isCommonOption(name) })
	maps.DeleteFunc(own, func(name string, _ any) bool { return isCommonOption(name) })
	r := engine.ReadOptions("", mine)
	common.compressAbove = r.Int("compress_above", compressAbove)
	common.maxDecoded = r.PositiveInt("max_decoded_size", maxDecoded)
	if grouped {
		common.stale = groupStale
	}
	common.stale = r.NonNegativeDuration("stale", common.stale)
	common.lease = r.DurationBetween("lease", lease, leastLease, mostLease)
	common.storeLater = r.Bool("store_later", false)
	common.operationTimeout = r.DurationBetween("operation_timeout", operationTimeout, time.Millisecond, mostOperationTimeout)
	common.groupPrefix = r.String("group_prefix", "")
	common.sealing, err = readSealing(r)
	return common, own, errors.Join(r.Err(), err, store.CheckGroupPrefix(common.groupPrefix))
}
