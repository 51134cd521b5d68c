package engine

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// Settings say how to open an engine. They are what an engine has to know of a backend's settings.
// The zero value of each field is its default.
type Settings struct {
	// Location contains the addresses of servers, a path, or the name of a store.
	Location []string

	// Options are the engine's own: see [ReadOptions]. An unknown option, or one of the wrong type, is an error
	// that names it.
	Options map[string]any

	// OperationTimeout is how long an operation may take in all. It is the option operation_timeout,
	// which all backends have: package backends sets it, whatever it was, and leaves the option out of
	// Options. An engine may ignore it, unless it has the trait KeepsTime.
	OperationTimeout time.Duration

	// Scope is the number of the set of backends that the engine is for. Engines in this process's memory that have
	// no Location share a store only if they have the same scope. That of the program's set is always 0, so that
	// what is stored outlasts a Configure.
	Scope uint64
}

// Format writes the settings, whatever the verb, without users and passwords in locations, and with nothing but the names of the
// options: that is, for a log.
func (s Settings) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// LogValue returns what Format writes.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.text()) }

func (s Settings) text() string {
	return fmt.Sprintf("{Location: %s, Options: %s, OperationTimeout: %v, Scope: %d}",
		errtext.Locations(s.Location), errtext.Options(s.Options, nil), s.OperationTimeout, s.Scope)
}

// A Driver is a kind of engine, by name. Neither Open nor the engine that it returns may connect to
// anything before that is asked for an item. The functions may be called by many goroutines at once.
type Driver struct {
	// Names are what Settings.Backend of package backends may be. The first is the name; it has lower-case letters,
	// digits, '_', '-' and '.', and is a Django class path if it has upper-case letters besides a '.': "newcache.CacheClass". The
	// others are aliases: Django's class paths. Names match with their case.
	Names []string

	// Schemes are those of the URLs that backends.ParseURL reads for the engine, in lower case; they match whatever their
	// case. With none that is the name in lower case.
	Schemes []string

	// Open opens an engine. Wrong settings are an error that matches cacheutils.ErrConfig.
	Open func(Settings) (Engine, error)

	// ParseURL reads the location and the options from a URL with one of the schemes. What all backends have
	// was taken out of its query before. With nil the locations stand before the path, separated by
	// commas, the path is the key prefix, and the options are the query.
	ParseURL func(text string) (Settings, error)

	// Django translates the OPTIONS of a backend that is named by an alias. It returns the engine's options, those
	// that it doesn't know as they are, and the names of those that mean something to Django but nothing
	// here, which are logged. It doesn't change the map. Django's times are numbers of seconds: see [Seconds]. With nil
	// nothing is translated.
	Django func(options map[string]any) (mapped map[string]any, leftOut []string)
}

// Name returns the first of the names.
func (d Driver) Name() string { return d.Names[0] }

var drivers struct {
	sync.Mutex
	list []Driver // by name
}

// Register makes a kind of engine known to package backends, under its names and schemes. Call it from an init of the
// engine's package, so that users only import that. It panics if d lacks what it needs, or if a driver has one
// of its names or schemes already.
func Register(d Driver) {
	d.Names, d.Schemes = slices.Clone(d.Names), slices.Clone(d.Schemes)
	if len(d.Names) == 0 {
		panic("cacheutils: Register: a driver without a name: set Names")
	}
	if len(d.Schemes) == 0 {
		d.Schemes = []string{strings.ToLower(d.Name())}
	}
	if d.Open == nil {
		panic(fmt.Sprintf("cacheutils: Register %q: Open is nil", d.Name()))
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-."
	if isClassPath := strings.Contains(d.Name(), "."); !isClassPath && d.Name() != strings.ToLower(d.Name()) {
		panic(fmt.Sprintf("cacheutils: Register %q: use a name of lower-case letters, or a class path such as newcache.CacheClass", d.Name()))
	}
	for i, name := range d.Names {
		if name == "" || strings.Trim(strings.ToLower(name), letters) != "" {
			panic(fmt.Sprintf("cacheutils: Register %q: name %q: use a name of lower-case letters, digits, '_', '-' and '.'", d.Name(), name))
		}
		if name == "group" {
			panic(fmt.Sprintf("cacheutils: Register %q: the name %q is that of memcached with values that are served past their timeout: use another", d.Name(), name))
		}
		if slices.Contains(d.Names[:i], name) {
			panic(fmt.Sprintf("cacheutils: Register %q: the name %q is given twice: leave one out", d.Name(), name))
		}
	}
	for _, scheme := range d.Schemes {
		if scheme == "" || strings.Trim(scheme, letters+"+") != "" || scheme == "group" || strings.HasPrefix(scheme, "group+") {
			panic(fmt.Sprintf("cacheutils: Register %q: %q can't be the scheme of a URL: use lower-case letters, digits, '_', '-', '.' and '+', "+
				"and nothing that begins with group", d.Name(), scheme))
		}
	}
	drivers.Lock()
	defer drivers.Unlock()
	for _, other := range drivers.list {
		for _, name := range d.Names {
			if slices.Contains(other.Names, name) {
				panic(fmt.Sprintf("cacheutils: Register %q: there is an engine of the name %q already: use another", d.Name(), name))
			}
		}
		for _, scheme := range d.Schemes {
			if slices.Contains(other.Schemes, scheme) {
				panic(fmt.Sprintf("cacheutils: Register %q: there is an engine for the scheme %q already: use another", d.Name(), scheme))
			}
		}
	}
	drivers.list = append(drivers.list, d)
	slices.SortFunc(drivers.list, func(a, b Driver) int { return strings.Compare(a.Name(), b.Name()) })
}

// Drivers returns what was registered, sorted by name.
func Drivers() []Driver {
	drivers.Lock()
	defer drivers.Unlock()
	return slices.Clone(drivers.list)
}
