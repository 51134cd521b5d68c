package backends

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// Which engine a Settings.Backend means, or the scheme of a URL: one that is registered, or "group" or "group+" before
// one, or a Django class path.

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

// maxWrappers is how many engines may be around another one.
const maxWrappers = 100

// checkEngine returns an error if there is a nil in place of e, or of an engine that it is wrapped around.
func checkEngine(e engine.Engine) error {
	for range maxWrappers {
		if e == nil {
			return fmt.Errorf("no engine: return one of the two")
		}
		if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
			return fmt.Errorf("a nil %T: return an engine or an error", e)
		}
		w, ok := e.(engine.Wrapper)
		if !ok {
			return nil
		}
		if e = w.Unwrap(); e == nil {
			return fmt.Errorf("a %T whose Unwrap returns nil: it has to return the engine inside", w)
		}
	}
	return fmt.Errorf("a %T whose Unwrap leads to no engine: it has to return the one inside", e)
}

// plainServers returns the servers beyond this host that the engine sends to without TLS, and was not told to, where it
// can say so.
func plainServers(e engine.Engine) []string {
	s, _ := engine.As[engine.ServerEngine](e)
	if p, ok := s.(interface{ PlainServers() []string }); ok {
		return p.PlainServers()
	}
	return nil
}

// unknownEngine says that no engine has that name, what is, and what to do. It matches cacheutils.ErrUnknownBackend.
func unknownEngine(backend string) error {
	what := fmt.Sprintf("no engine is registered as %q", errtext.WithoutPassword(backend))
	if backend == "" {
		what = `BACKEND is missing: Settings.Backend is "": name an engine`
	}
	if advice := adviceFor(backend); advice != "" {
		what += ": " + advice
	}
	return fmt.Errorf("%w: %s; there are %s, and group+ before any engine; import the package of another one",
		cacheutils.ErrUnknownBackend, what, quoted(engineNames()))
}

// engineNames returns what a Settings.Backend may be, but for aliases and for group+ before another.
func engineNames() []string {
	names := []string{groupBackend}
	for _, d := range engine.Drivers() {
		names = append(names, d.Name())
	}
	slices.Sort(names)
	return names
}

// The engines that are often asked for and aren't there, with what to do. A word matches where the name contains it
// between dots, or as a whole part of one.
var absent = []struct {
	words  []string
	advice string
}{
	{[]string{"redis", "rediss", "valkey", "django_redis", "rediscache"}, "Redis and Valkey are not supported yet: use memcached, or an engine of your own (docs/backends.md)"},
	{[]string{"db", "database", "databasecache", "sql", "sqlite", "sqlite3", "postgres", "postgresql", "mysql"},
		"a cache in a database is not supported yet: use memcached or locmem, or an engine of your own (docs/backends.md)"},
	{[]string{"file", "files", "filebased", "filebasedcache", "filesystem"},
		"a cache in files is not supported yet: use memcached or locmem, or an engine of your own (docs/backends.md)"},
	{[]string{"memcache", "memcacheds", "pymemcache", "pylibmc", "bmemcached"}, `write "memcached"`},
	{[]string{"mem", "memory", "inmemory", "local", "localmem"}, `write "locmem"`},
	{[]string{"none", "null", "noop", "off"}, `write "dummy"`},
}

// adviceFor says what to do about a name that no engine has, if that is known.
func adviceFor(backend string) string {
	if strings.Contains(backend, "://") {
		return "it is a URL, which backends.ParseURL reads"
	}
	trimmed := strings.TrimSpace(backend)
	lower := strings.ToLower(trimmed)
	plain, grouped := splitGroup(lower)
	for _, d := range engine.Drivers() {
		for _, name := range slices.Concat(d.Names, groupAliases) {
			switch {
			case lower == groupBackend:
				return fmt.Sprintf("write %q", groupBackend)
			case strings.EqualFold(plain, name) && grouped:
				return fmt.Sprintf("write %q", groupBackend+"+"+name)
			case strings.EqualFold(plain, name):
				return fmt.Sprintf("write %q", name)
			}
		}
	}
	words := strings.FieldsFunc(plain, func(r rune) bool { return r == '.' || r == '+' || r == '-' })
	for _, a := range absent {
		if slices.ContainsFunc(a.words, func(word string) bool { return slices.Contains(words, word) }) {
			return a.advice
		}
	}
	if strings.Contains(backend, ".") {
		return "an engine of your own may have a class path of Django as its name, or as an alias (docs/backends.md)"
	}
	return ""
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
