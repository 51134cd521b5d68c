package decorators_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

type hiddenCity struct {
	ID   int
	name string
}

type lockedCity struct {
	mu sync.Mutex
	N  int
}

type treeCity struct {
	Kids []*treeCity
	Up   *treeCity
}

type doer interface{ Do() }

func loadMistake(context.Context, int, string) (string, error) { return "x", nil }

// mistake is what a user gets wrong. The message has to have the parts that tell what is wrong, where, and what
// to do.
type mistake struct {
	name string
	make func() any // returns the message, or panics with it; nil: none
	says []string   // empty: it is no mistake
}

// cachedMistake returns nothing: it is to panic.
func cachedMistake(fn any, opts ...decorators.Option) any {
	decorators.Cached(fn, opts...)
	return nil
}

func configureJSON(text string) any {
	var c backends.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	return newAndClose(c)
}

func configureURL(text string) any {
	s, err := backends.ParseURL(text)
	if err != nil {
		return err
	}
	return newAndClose(backends.Config{"default": s})
}

func newAndClose(c backends.Config) any {
	set, err := backends.New(c)
	if err != nil {
		return err
	}
	set.Close()
	return nil
}

// mistakes are those that were made by people who had only the docs at hand.
func mistakes(t *testing.T) []mistake {
	ctx := context.Background()
	set := newSet(t, nil)
	on, key := decorators.On(set), decorators.Key
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	remote := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{"127.0.0.1:1"}}})
	load, handle := decorators.Cached(loadMistake, key("mistakes"), on)
	here := "mistakes_test.go:"
	const loadName = "decorators_test.loadMistake:"
	return []mistake{
		{"nil func", func() any { var f func(int) int; return cachedMistake(f) }, []string{"Cached at ", here, "takes a function, got a nil func(int) int"}},
		{"nil any", func() any { return cachedMistake(nil) }, []string{"Cached at ", here, "takes a function, got nil"}},
		{"no func", func() any { return cachedMistake(42) }, []string{"Cached at ", here, "takes a function, got a value of type int"}},
		{"no result", func() any { return cachedMistake(func(int) {}) }, []string{here, "returns nothing", "cache a function that has a result"}},
		{"only an error", func() any { return cachedMistake(func(context.Context, int) error { return nil }) },
			[]string{here, "returns only an error", "a second call would do nothing", "cache a function that has a result"}},
		{"channel as parameter", func() any { return cachedMistake(func(chan int, int) int { return 1 }) },
			[]string{"parameter 1 of", here, "chan int", "can't be in a key", "leave it out with Ignore[chan int]()", "with KeyOf"}},
		{"function as only parameter", func() any { return cachedMistake(func(func()) int { return 1 }) },
			[]string{"parameter 1 of", here, "func()", "can't be in a key", "KeyOf"}},
		{"mutex in a parameter", func() any { return cachedMistake(func(*lockedCity, int) int { return 1 }) },
			[]string{"parameter 1 of", here, "mu has type sync.Mutex", "it guards itself", "leave"}},
		{"result with an unexported field", func() any { return cachedMistake(func(int) hiddenCity { return hiddenCity{} }, decorators.On(remote)) },
			[]string{here, "its results (decorators_test.hiddenCity) can't be cached", "hiddenCity.name of type string", "unexported field"}},
		{"results with an unexported field, in memory", func() any {
			return cachedMistake(func(int) []hiddenCity { return nil }, key("z"), decorators.On(remote))
		},
			[]string{here, "hiddenCity.name", "in this process's memory"}},
		{"channel as result", func() any { return cachedMistake(func(int) chan int { return nil }, on) },
			[]string{here, "its results (chan int) can't be cached", "a channel"}},
		{"interface as result", func() any { return cachedMistake(func(int) doer { return nil }, on) },
			[]string{here, "an interface with methods", "a concrete type"}},
		//lint:ignore ST1008 as users do
		{"error as a value", func() any { return cachedMistake(func(int) (error, string) { return nil, "" }, on) },
			[]string{here, "result 1 is an error that isn't last", "return the error last"}},
		{"empty Key", func() any { return cachedMistake(loadMistake, key("")) }, []string{here, "Key has an empty name", "give one that no other function has"}},
		{"Key twice", func() any { return cachedMistake(loadMistake, key("a"), key("b"), on) }, nil},
		{"nil option", func() any { return cachedMistake(loadMistake, key("m"), nil) }, []string{here, "option 2 is nil", "leave it out"}},
		{"Jitter of 20", func() any { return cachedMistake(loadMistake, decorators.Jitter(20)) },
			[]string{loadName, here, "Jitter(20) is not a fraction from 0 to 1"}},
		{"Timeout of 3600", func() any { return cachedMistake(loadMistake, decorators.Timeout(3600)) },
			[]string{loadName, here, "Timeout(3.6µs)", "less than a millisecond", "did you mean Timeout(3600*time.Second)?"}},
		{"negative Timeout", func() any { return cachedMistake(loadMistake, decorators.Timeout(-1), key("negative"), on) }, nil},
		{"Group of an empty name", func() any { return cachedMistake(loadMistake, decorators.Group("")) },
			[]string{loadName, here, "Group: the name of a group is empty", "was a variable not set?"}},
		{"Group without names", func() any { return cachedMistake(loadMistake, decorators.Group()) },
			[]string{loadName, here, "Group has no names", "leave it out, or name a group"}},
		{"GroupsOf with other parameters", func() any { return cachedMistake(loadMistake, decorators.GroupsOf(func(int) []string { return nil })) },
			[]string{loadName, here, "GroupsOf takes a func(context.Context, int, string) []string, got func(int) []string"}},
		{"GroupsOf of one text", func() any {
			return cachedMistake(loadMistake, decorators.GroupsOf(func(context.Context, int, string) string { return "" }))
		}, []string{loadName, here, "GroupsOf takes a func(context.Context, int, string) []string, got func(context.Context, int, string) string"}},
		{"TimeoutOf with other results", func() any {
			return cachedMistake(loadMistake, decorators.TimeoutOf(func(int) time.Duration { return 0 }))
		},
			[]string{loadName, here, "TimeoutOf takes a func(string) time.Duration, got func(int) time.Duration"}},
		{"Unless of no function", func() any { return cachedMistake(loadMistake, decorators.Unless(true)) },
			[]string{loadName, here, "Unless takes a func(string) bool, got a value of type bool"}},
		{"KeyOf of nil", func() any { return cachedMistake(loadMistake, decorators.KeyOf(nil)) },
			[]string{loadName, here, "KeyOf takes a func(context.Context, int, string) that returns what stands for them, got nil"}},
		{"Ignore of a type that no parameter has", func() any { return cachedMistake(loadMistake, decorators.Ignore[*lockedCity]()) },
			[]string{loadName, here, "Ignore[*decorators_test.lockedCity]", "no parameter of that type", "leave it out"}},
		{"Ignore of an interface", func() any {
			return cachedMistake(func(doer, int) int { return 0 }, decorators.Ignore[doer](), key("ignore"), on)
		}, nil},
		{"ObjectAttrs of an unknown field", func() any {
			return cachedMistake(func(hiddenCity) int { return 0 }, decorators.ObjectAttrs(hiddenCity{}, "Id"))
		}, []string{here, "ObjectAttrs: decorators_test.hiddenCity has no field Id of its own", "it has ID, name"}},
		{"ObjectAttrs of no struct", func() any { return cachedMistake(loadMistake, decorators.ObjectAttrs(1, "ID")) },
			[]string{loadName, here, "ObjectAttrs takes a sample of a struct type, got int"}},
		{"WithReceiver of a function", func() any { return cachedMistake(loadMistake, decorators.WithReceiver()) },
			[]string{loadName, here, "WithReceiver is for method expressions such as City.Offers", "leave it out"}},
		{"Absent of Cached", func() any { return cachedMistake(loadMistake, decorators.Absent(time.Minute)) },
			[]string{loadName, here, "Absent is for CachedMany", "says that there is nothing in its result"}},
		{"a backend that is not configured", func() any {
			_, h := decorators.Cached(loadMistake, decorators.Backend("sesions"), key("sess"), on)
			return h.Invalidate(ctx, 1, "it")
		}, []string{"sess: unknown backend \"sesions\": configured are \"default\""}},
		{"empty Backend", func() any { return cachedMistake(loadMistake, decorators.Backend("")) },
			[]string{loadName, here, "Backend has an empty name", `leave it out for the backend "default"`}},
		{"Invalidate without the context", func() any { return handle.Invalidate(1, "it") },
			[]string{"wrong arguments: mistakes takes (context.Context, int, string), got (int, string)"}},
		{"Invalidate of too few arguments", func() any { return handle.Invalidate(ctx, 1) },
			[]string{"wrong arguments: mistakes takes (context.Context, int, string), got (context.Context, int)"}},
		{"Invalidate of a text for a number", func() any { return handle.Invalidate(ctx, "1", "it") },
			[]string{"argument 2 of mistakes has type int, got", "string", "the function takes (context.Context, int, string)"}},
		{"Invalidate of an int64 for an int", func() any { return handle.Invalidate(ctx, int64(1), "it") },
			[]string{"argument 2 of mistakes has type int, got", "int64", "the function takes (context.Context, int, string)"}},
		{"Invalidate of a list of arguments", func() any { return handle.Invalidate([]any{ctx, 1, "it"}) },
			[]string{"mistakes takes (context.Context, int, string), got ([]interface {})", "write ... behind the list"}},
		{"Set of another result", func() any { return handle.Set([]any{ctx, 1, "it"}, 5) },
			[]string{"result 1 of mistakes has type string, got", "int"}},
		{"Set with the error", func() any { return handle.Set([]any{ctx, 1, "it"}, "x", nil) },
			[]string{"mistakes has the results (string), got (string, nil)", "leave out the error"}},
		{"decorated at each call", func() any {
			for range 3 {
				f, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, key("percall"), on)
				f(ctx, 1)
			}
			return nil
		}, nil},
		{"one Key for two result types", func() any { return cachedMistake(func(int) int { return 1 }, key("mistakes"), on) },
			[]string{here, "two functions are called mistakes", "types string and int", "give one of them another Key"}},
		{"closures in a loop", func() any {
			for i := range 2 {
				decorators.Cached(func(context.Context) (int, error) { return i, nil }, on)
			}
			return nil
		}, []string{here, "is decorated more than once", "would share their results", "decorators.Instance", "decorators.Key"}},
		{"a method value without a name", func() any { return cachedMistake(shop{"x"}.Offers, on) }, []string{here, "shop.Offers is a method value", "those of all receivers look alike", "decorators.Instance", "decorators.Key"}},
		{"decorated twice", func() any { return cachedMistake(load, on) }, []string{here, "has no name of its own", "give it one with Key"}},
		{"JSON with an engine that isn't there", func() any { return configureJSON(`{"default": {"BACKEND": "rediss"}}`) },
			[]string{`backend "default"`, `no engine is registered as "rediss"`, `"group"`, `"locmem"`, `"memcached"`}},
		{"JSON with Django's redis", func() any {
			return configureJSON(`{"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:6379"}}`)
		}, []string{`backend "default"`, "RedisCache", "there are", `"memcached"`, "import"}},
		{"JSON without BACKEND", func() any { return configureJSON(`{"default": {"LOCATION": "127.0.0.1:11211"}}`) },
			[]string{`backend "default"`, "BACKEND is missing"}},
		{"JSON with a misspelt setting", func() any { return configureJSON(`{"default": {"BACKEND": "locmem", "TIMOUT": 3}}`) },
			[]string{`backend "default"`, "TIMOUT: no such setting: there are BACKEND, LOCATION, TIMEOUT, KEY_PREFIX, VERSION, OPTIONS"}},
		{"JSON with a misspelt option", func() any {
			return configureJSON(`{"default": {"BACKEND": "locmem", "OPTIONS": {"MAX_ENTRYS": 3}}}`)
		}, []string{`backend "default"`, "locmem has no option MAX_ENTRYS", "its options are", "max_entries"}},
		{"JSON with an option of another type", func() any {
			return configureJSON(`{"default": {"BACKEND": "locmem", "OPTIONS": {"MAX_ENTRIES": "many"}}}`)
		}, []string{`backend "default"`, `locmem option max_entries is the string "many"; it has to be an integer`}},
		{"JSON that is none", func() any { return configureJSON(`{"default": {"BACKEND": "locmem",}}`) }, []string{"invalid character '}'"}},
		{"JSON with names in small letters", func() any { return configureJSON(`{"default": {"backend": "locmem", "timeout": 5}}`) },
			[]string{`backend "default"`, "backend", "BACKEND"}},
		{"JSON with TIMEOUT of a text", func() any { return configureJSON(`{"default": {"BACKEND": "locmem", "TIMEOUT": "an hour"}}`) },
			[]string{`backend "default"`, "TIMEOUT", "an hour", "seconds"}},
		{"JSON with a duration as TIMEOUT", func() any { return configureJSON(`{"default": {"BACKEND": "locmem", "TIMEOUT": "1h"}}`) }, nil},
		{"JSON of a list", func() any { return configureJSON(`[]`) }, []string{"backends are an object by their names"}},
		{"an empty URL", func() any { return configureURL("") }, []string{`URL ""`, "has no scheme", "use something like locmem:// or memcached://127.0.0.1:11211"}},
		{"a URL of an engine that isn't there", func() any { return configureURL("redis://127.0.0.1:6379/0") },
			[]string{"redis", "there are", "memcached"}},
		{"a URL with a port that is none", func() any { return configureURL("memcached://127.0.0.1:abc") },
			[]string{"127.0.0.1:abc", "port from 1 to 65535", "host:port"}},
		{"a URL with a misspelt option", func() any { return configureURL("memcached://127.0.0.1:1?max_con=4") },
			[]string{"max_con", "max_conns"}},
		{"a URL of a host", func() any { return configureURL("127.0.0.1:11211") }, []string{"127.0.0.1:11211", "has no scheme", "memcached://127.0.0.1:11211"}},
		{"a URL with a timeout of a text", func() any { return configureURL("locmem://?timeout=soon") },
			[]string{"timeout=soon", "use seconds, a duration like 1h30m, or never"}},
		{"an option of another engine", func() any {
			return newAndClose(backends.Config{"default": {Backend: "dummy", Options: map[string]any{"max_entries": 5}}})
		}, []string{`backend "default"`, "dummy has no option max_entries", "it has none"}},
		{"a number where an option is a time", func() any {
			return newAndClose(backends.Config{"default": {Backend: "memcached", Options: map[string]any{"operation_timeout": 250}}})
		}, []string{`backend "default"`, "operation_timeout", "250", "did you mean \"250ms\""}},
		{"a file that isn't there", func() any {
			return newAndClose(backends.Config{"default": {Backend: "memcached", Options: map[string]any{"tls_ca": "/nope.pem"}}})
		}, []string{`backend "default"`, "memcached option tls_ca", "/nope.pem: no such file"}},
		{"a backend that isn't there", func() any { _, err := set.Get("seshuns"); return err }, []string{`unknown backend "seshuns": configured are "default"`}},
		{"a server that is down", func() any {
			_, h := decorators.Cached(loadMistake, key("down"), decorators.On(remote))
			return h.Invalidate(ctx, 1, "it")
		}, []string{"invalidate down", "delete key d33c0b966af68793 of down", "memcached 127.0.0.1:1", "connection refused"}},
		{"InvalidateGroup while a server is down", func() any { return cache.InvalidateGroup(ctx, "a", cache.On(remote)) },
			[]string{`invalidate group "a"`, "memcached 127.0.0.1:1"}},
		{"Ping while a server is down", func() any { down, _ := remote.Get("default"); return down.Ping(ctx) },
			[]string{`ping "default"`, "memcached 127.0.0.1:1"}},
		{"InvalidateGroup of an empty name", func() any { return cache.InvalidateGroup(ctx, "", cache.On(set)) },
			[]string{"wrong arguments: InvalidateGroup: the name of a group is empty: was a variable not set?"}},
		{"cache.Set of a channel", func() any { return cache.Set(ctx, "a", make(chan int), cache.On(set)) },
			[]string{"set key d749929fe94b9a37", "type chan int: a channel"}},
		{"cache.Get of another type", func() any {
			cache.Set(ctx, "a", 1, cache.On(set))
			_, err := cache.Get[string](ctx, "a", cache.On(set))
			return err
		}, []string{"get key d749929fe94b9a37", "undecodable entry", "it is a number, and not of type string"}},
		{"cache.Set under a function", func() any { return cache.Set(ctx, func() {}, 1, cache.On(set)) },
			[]string{"type func() can't be in a key", "a name or an id"}},
		{"cache.Set under nil", func() any { return cache.Set(ctx, nil, 1, cache.On(set)) }, []string{"invalid key: the key is nil", "give a value that names the entry"}},
		{"Set under an empty key", func() any { return c.Set(ctx, "", 1) }, []string{"invalid key: it is empty"}},
		{"Get into what is no pointer", func() any { var i int; return c.Get(ctx, "k", i) },
			[]string{"Get takes a pointer to the variable to fill, got a value of type int", "put & before it"}},
		{"Get into nil", func() any { return c.Get(ctx, "k", nil) }, []string{"Get takes a pointer to the variable to fill, got nil"}},
		{"GetMany into a nil map", func() any { var m map[string]int; return c.GetMany(ctx, []string{"k"}, m) },
			[]string{"GetMany takes a map to fill, got a nil map[string]int", "make it first"}},
		{"GetMany into no map", func() any { return c.GetMany(ctx, []string{"k"}, 5) },
			[]string{"GetMany takes a map with string keys to fill, got a value of type int"}},
		{"SetMany of no map", func() any { _, err := c.SetMany(ctx, []int{1}); return err },
			[]string{"SetMany takes a map with string keys, got a value of type []int"}},
		{"Incr of a text", func() any { c.Set(ctx, "s", "a"); _, err := c.Incr(ctx, "s", 1); return err },
			[]string{`increment "s"`, "not a number: its type is string"}},
		{"a call with a nil context", func() any { _, err := load(nil, 1, "it"); return err }, nil},
		//lint:ignore SA1012 it is about a nil context
		{"package cache with a nil context", func() any { return cache.Set(nil, "a", 1, cache.On(set)) },
			[]string{"the context is nil: pass context.Background()"}},
		{"a result that contains itself", func() any {
			f, _ := decorators.Cached(func(int) *treeCity { t := &treeCity{}; t.Up = t; return t }, key("cycle"), on)
			f(1)
			return nil // the log says it, see below
		}, nil},
		{"a function that waits for itself", func() any {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) { return f(ctx, n) }, key("recursion"), on)
			_, err := f(ctx, 1)
			return err
		}, []string{"a cached function waits for its own result: recursion, key b2e0ce060320be24"}},
		{"Register of a name that there is", func() any {
			backends.Register("locmem", func(engine.Settings) (engine.Engine, error) { return nil, nil })
			return nil
		}, []string{`"locmem"`, "already"}},
		{"Kwargs that aren't last", func() any { return cachedMistake(func(cachekey.Kwargs, int) int { return 1 }, key("kwargs")) },
			[]string{"parameter 1 of", here, "Kwargs", "last"}},
		{"RequireCache of what isn't there, without an error result", func() any {
			_, h := decorators.Cached(func(int) int { return 1 }, key("required"), on)
			return h.RequireCache(1)
		}, []string{"no cached value: required, key 31a74043e4f7e1d9"}},
		{"KeyOf of all keys of CachedMany", func() any {
			decorators.CachedMany(func(context.Context, []int) (map[int]string, error) { return nil, nil },
				decorators.KeyOf(func(context.Context, []int) string { return "" }))
			return nil
		}, []string{here, "KeyOf takes a func(context.Context, int) that returns what stands for them, got func(context.Context, []int) string"}},
		{"two backends that are wrong", func() any { return configureJSON(`{"a": {"BACKEND": "locmemm"}, "b": {"BACKEND": "x"}}`) },
			[]string{`backend "a"`, `"locmemm"`, `backend "b"`, `"x"`}},
	}
}

// wrongEnglish is what no message has.
var wrongEnglish = regexp.MustCompile(`\ba (int|int8|int16|int32|int64|interface|error|array|option|unknown|empty|other|integer)\b` +
	`|\ban (uint|string|nil|bool|float|map|struct|func|channel|function|value)|\bis no \w|\bit is no\b|\bno (int|string|func|map)\b`)

// A mistake has a message that says what is wrong, where, and what to do, in one sentence and in good English.
func TestMistakes(t *testing.T) {
	sink := recorder{off: logging.LevelWarn}
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	for _, m := range mistakes(t) {
		t.Run(m.name, func(t *testing.T) {
			text := messageOf(m.make)
			if len(m.says) == 0 && text != "" {
				t.Errorf("got %q, want no message", text)
			}
			if len(m.says) > 0 && text == "" {
				t.Errorf("nothing is said, want a message with %q", m.says)
			}
			for _, part := range m.says {
				if text != "" && !strings.Contains(text, part) {
					t.Errorf("got  %q\nwant %q in it", text, part)
				}
			}
			if wrong := wrongEnglish.FindString(text); wrong != "" {
				t.Errorf("%q in %q", wrong, text)
			}
			if strings.Contains(text, "runtime error") {
				t.Errorf("a crash: %s", text)
			}
		})
	}
	cycle := false
	for _, e := range sink.events() {
		line := lineOf(e)
		cycle = cycle || strings.Contains(line, "encode a result of cycle") && strings.Contains(line, "contains itself")
		if wrong := wrongEnglish.FindString(line); wrong != "" {
			t.Errorf("%q in the line %q", wrong, line)
		}
	}
	if !cycle {
		t.Errorf("no line about the result that contains itself: %q", texts(sink.events()))
	}
}

// messageOf returns what a mistake is told.
func messageOf(make func() any) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	if said := make(); said != nil {
		return fmt.Sprint(said)
	}
	return ""
}
