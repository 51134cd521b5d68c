package backends_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// What every engine has to do is tested by backendtest. The tests here are about a Cache whatever the engine:
// which calls it makes, and what becomes of an engine's errors.

func ExampleCache_Get() {
	ctx := context.Background()
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Set(ctx, "capital", "Rome"); err != nil {
		fmt.Println(err)
	}
	city := "unknown" // the default stays where nothing is found
	if err := c.Get(ctx, "capital", &city); err != nil {
		fmt.Println(err)
	}
	fmt.Println(city)

	err = c.Get(ctx, "province", &city)
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss), city)
	// Output:
	// Rome
	// true Rome
}

func ExampleCache_Set() {
	type City struct {
		Name   string
		People int
	}
	ctx := context.Background()
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	rome := City{"Rome", 2_800_000}
	// For the backend's own timeout, for an hour, forever; and not at all, which also
	// removes what was there.
	fmt.Println(c.Set(ctx, "a", rome))
	fmt.Println(c.Set(ctx, "b", rome, backends.Timeout(time.Hour)))
	fmt.Println(c.Set(ctx, "c", rome, backends.Timeout(cacheutils.Forever)))
	fmt.Println(c.Set(ctx, "a", rome, backends.Timeout(0)))

	found := map[string]City{}
	fmt.Println(c.GetMany(ctx, []string{"a", "b", "c"}, found))
	fmt.Println(found)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// map[b:{Rome 2800000} c:{Rome 2800000}]
}

func ExampleCache_GetOrSet() {
	ctx := context.Background()
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		var primes []int
		err := c.GetOrSet(ctx, "primes", &primes, func(context.Context) (any, error) {
			fmt.Println("computing")
			return []int{2, 3, 5, 7}, nil
		}, backends.Timeout(time.Hour))
		fmt.Println(primes, err)
	}
	c.Delete(ctx, "primes")
	// Output:
	// computing
	// [2 3 5 7] <nil>
	// [2 3 5 7] <nil>
}

// Many keys are one call of the engine, and Clear is the engine's own.
func TestCallsOfTheEngine(t *testing.T) {
	ctx := context.Background()
	c, e := spied(t, backends.Settings{KeyPrefix: "p", Version: "2"})
	for _, test := range []struct {
		name string
		call func() error
		want []string
	}{
		{"Set", func() error { return c.Set(ctx, "k", 1) }, []string{"Set p:2:k 5m0s"}},
		{"Set forever", func() error { return c.Set(ctx, "k", 1, backends.Timeout(cacheutils.Forever)) },
			[]string{"Set p:2:k " + cacheutils.Forever.String()}},
		{"Set with the default timeout", func() error { return c.Set(ctx, "k", 1, backends.Timeout(backends.DefaultTimeout)) },
			[]string{"Set p:2:k 5m0s"}},
		{"Set of no time", func() error { return c.Set(ctx, "k", 1, backends.Timeout(0)) }, []string{"Delete p:2:k"}},
		{"Set of a version", func() error { return c.Set(ctx, "k", 1, backends.Version("3")) }, []string{"Set p:3:k 5m0s"}},
		{"Get", func() error { return c.Get(ctx, "k", new(any), backends.Version("3")) }, []string{"Get p:3:k"}},
		{"GetMany", func() error { return c.GetMany(ctx, []string{"a", "b", "c"}, map[string]any{}) },
			[]string{"GetMany [p:2:a p:2:b p:2:c]"}},
		{"GetMany of nothing", func() error { return c.GetMany(ctx, nil, map[string]any{}) }, nil},
		{"Touch of nothing", func() error { _, err := c.Touch(ctx, "k"); return err }, []string{"Get p:2:k"}},
		{"Set again", func() error { return c.Set(ctx, "k", 1) }, []string{"Set p:2:k 5m0s"}},
		{"Touch", func() error { _, err := c.Touch(ctx, "k"); return err }, []string{"Get p:2:k", "CompareAndSwap p:2:k 5m0s"}},
		{"Touch of no time", func() error { _, err := c.Touch(ctx, "k", backends.Timeout(-1)); return err }, []string{"Get p:2:k", "Delete p:2:k"}},
		{"Add", func() error { _, err := c.Add(ctx, "k", 1, backends.Timeout(time.Second)); return err }, []string{"Add p:2:k 1s"}},
		{"Incr", func() error { _, err := c.Incr(ctx, "k", 4); return err }, []string{"Incr p:2:k 4"}},
		{"Decr", func() error { _, err := c.Decr(ctx, "k", 4); return err }, []string{"Incr p:2:k -4"}},
		{"Has", func() error { _, err := c.Has(ctx, "k"); return err }, []string{"Get p:2:k"}},
		{"Delete", func() error { _, err := c.Delete(ctx, "k"); return err }, []string{"Delete p:2:k"}},
		{"SetMany of nothing", func() error { _, err := c.SetMany(ctx, map[string]int{}); return err }, nil},
		{"DeleteMany of nothing", func() error { return c.DeleteMany(ctx, nil) }, nil},
		{"Clear", func() error { return c.Clear(ctx) }, []string{"Clear p:"}},
		{"Close", c.Close, []string{"Close"}},
	} {
		e.noted()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		want(t, test.name, e.noted(), test.want)
	}
}

func TestRefusedKeysAreNotSent(t *testing.T) {
	ctx := context.Background()
	c, e := spied(t, backends.Settings{})
	_, setMany := c.SetMany(ctx, map[string]int{"good": 1, "x": 2})
	_, add := c.Add(ctx, "x", 1)
	_, touch := c.Touch(ctx, "x")
	_, incr := c.Incr(ctx, "x", 1)
	_, decr := c.Decr(ctx, "x", 1)
	_, has := c.Has(ctx, "x")
	_, del := c.Delete(ctx, "x")
	for name, err := range map[string]error{
		"Get":     c.Get(ctx, "x", new(any)),
		"GetMany": c.GetMany(ctx, []string{"good", "x"}, map[string]any{}),
		"Set":     c.Set(ctx, "x", 1),
		"SetMany": setMany, "Add": add, "Touch": touch, "Incr": incr, "Decr": decr, "Has": has, "Delete": del,
		"DeleteMany": c.DeleteMany(ctx, []string{"good", "x"}),
		"GetOrSet":   c.GetOrSet(ctx, "x", new(any), func(context.Context) (any, error) { panic("computed") }),
		"version":    c.Get(ctx, "good", new(any), backends.Version("x")),
		"Get empty":  c.Get(ctx, "", new(any)),
	} {
		if !errors.Is(err, cacheutils.ErrInvalidKey) {
			t.Errorf("%s: got error %v, want ErrInvalidKey", name, err)
		}
	}
	want(t, "calls of the engine", e.noted(), nil)
}

func TestWrongVariables(t *testing.T) {
	ctx := context.Background()
	c, e := spied(t, backends.Settings{})
	var none *int
	compute := func(context.Context) (any, error) { return 1, nil }
	_, setMany := c.SetMany(ctx, "no map")
	_, setManyByNumber := c.SetMany(ctx, map[int]int{1: 1})
	for name, err := range map[string]error{
		"Get into nil":             c.Get(ctx, "k", nil),
		"Get into a nil pointer":   c.Get(ctx, "k", none),
		"Get into a value":         c.Get(ctx, "k", 1),
		"GetMany into a slice":     c.GetMany(ctx, []string{"k"}, []int{}),
		"GetMany into nil":         c.GetMany(ctx, []string{"k"}, nil),
		"GetMany into a nil map":   c.GetMany(ctx, []string{"k"}, map[string]int(nil)),
		"GetMany by number":        c.GetMany(ctx, []string{"k"}, map[int]int{}),
		"GetOrSet into a value":    c.GetOrSet(ctx, "k", 1, compute),
		"SetMany of a text":        setMany,
		"SetMany by number":        setManyByNumber,
		"GetMany into a map's ptr": c.GetMany(ctx, []string{"k"}, &map[string]int{}),
	} {
		if !errors.Is(err, cacheutils.ErrArguments) {
			t.Errorf("%s: got error %v, want ErrArguments", name, err)
		}
	}
	if _, err := c.SetMany(ctx, nil); !errors.Is(err, cacheutils.ErrArguments) {
		t.Errorf("SetMany of nil: got error %v, want ErrArguments", err)
	}
	want(t, "calls of the engine", e.noted(), nil)

	text := "as it was"
	if err := c.GetOrSet(ctx, "k", &text, compute); !errors.Is(err, cacheutils.ErrArguments) || text != "as it was" {
		t.Errorf("GetOrSet of an int into a string: got %q, %v, want ErrArguments", text, err)
	}
}

var errDown = errors.New("server down")

// An explicit operation that failed says so, with what was being done and to which key.
func TestErrorsOfTheEngine(t *testing.T) {
	ctx := context.Background()
	c, e := spied(t, backends.Settings{})
	for _, test := range []struct {
		method string // of the engine
		names  string // what the error has to name
		call   func() error
	}{
		{"Get", `get "k"`, func() error { return c.Get(ctx, "k", new(any)) }},
		{"Get", `"k"`, func() error { _, err := c.Has(ctx, "k"); return err }},
		{"GetMany", "get 2 keys", func() error { return c.GetMany(ctx, []string{"a", "b"}, map[string]any{}) }},
		{"Set", `set "k"`, func() error { return c.Set(ctx, "k", 1) }},
		{"Delete", `set "k"`, func() error { return c.Set(ctx, "k", 1, backends.Timeout(0)) }},
		{"Set", `set "k"`, func() error { _, err := c.SetMany(ctx, map[string]int{"k": 1}); return err }},
		{"Add", `add "k"`, func() error { _, err := c.Add(ctx, "k", 1); return err }},
		{"Get", `touch "k"`, func() error { _, err := c.Touch(ctx, "k"); return err }},
		{"Incr", `increment "k"`, func() error { _, err := c.Incr(ctx, "k", 1); return err }},
		{"Delete", `delete "k"`, func() error { _, err := c.Delete(ctx, "k"); return err }},
		{"Delete", `delete "k"`, func() error { return c.DeleteMany(ctx, []string{"k"}) }},
		{"Clear", `clear "spied"`, func() error { return c.Clear(ctx) }},
		{"Close", `close "spied"`, c.Close},
	} {
		e.fail = map[string]error{test.method: errDown}
		err := test.call()
		if !errors.Is(err, errDown) || !strings.Contains(err.Error(), test.names) || !strings.HasPrefix(err.Error(), "cacheutils: ") {
			t.Errorf("%s failing: got error %v, want one that wraps it and says cacheutils: ... %s", test.method, err, test.names)
		}
	}
	e.fail = nil
}

func TestPartialFaults(t *testing.T) {
	ctx := context.Background()
	c, e := spied(t, backends.Settings{})
	if _, err := c.SetMany(ctx, map[string]int{"a": 1, "b": 2}); err != nil {
		t.Fatal(err)
	}
	e.fail = map[string]error{"GetMany": errDown}
	got := map[string]int{}
	err := c.GetMany(ctx, []string{"a", "b"}, got)
	if !errors.Is(err, errDown) {
		t.Errorf("GetMany: got error %v, want that of the server", err)
	}
	want(t, "GetMany with one server down", got, map[string]int{"a": 1})

	e.fail = map[string]error{"Set": errDown}
	failed, err := c.SetMany(ctx, map[string]int{"a": 1})
	want(t, "failed keys", failed, []string{"a"})
	if !errors.Is(err, errDown) {
		t.Errorf("SetMany: got error %v, want that of the server", err)
	}

	e.fail = map[string]error{"Delete": errDown}
	e.noted()
	if err := c.DeleteMany(ctx, []string{"a", "b"}); !errors.Is(err, errDown) {
		t.Errorf("DeleteMany: got error %v, want that of the server", err)
	}
	want(t, "calls of DeleteMany", slices.Sorted(slices.Values(e.noted())), []string{"Delete :1:a", "Delete :1:b"})
}

// GetOrSet gives its value whatever the store does, and the log says what it did.
func TestGetOrSetWithoutAStore(t *testing.T) {
	ctx := context.Background()
	for method, says := range map[string]string{"Get": "look up", "Add": "take the lease"} {
		t.Run(method, func(t *testing.T) {
			log := logTo(t, false)
			c, e := spied(t, backends.Settings{})
			e.fail = map[string]error{method: errDown}
			got := ""
			err := c.GetOrSet(ctx, "k", &got, func(context.Context) (any, error) { return "computed", nil })
			if got != "computed" || err != nil {
				t.Errorf("got %q, %v, want the computed value", got, err)
			}
			events := log.logged()
			if len(events) != 1 || !strings.Contains(events[0], "Cache FAULT: "+says) || !strings.Contains(events[0], errDown.Error()) {
				t.Errorf("got log %q, want one FAULT with the server's error", events)
			}
		})
	}
}

func TestGetOrSetNeedsATypeThatCanBeStored(t *testing.T) {
	c, _ := spied(t, backends.Settings{})
	var channel chan int
	err := c.GetOrSet(context.Background(), "k", &channel, func(context.Context) (any, error) { panic("computed") })
	if !errors.Is(err, cacheutils.ErrUnsupportedValue) {
		t.Errorf("got error %v, want ErrUnsupportedValue", err)
	}
}

func TestLog(t *testing.T) {
	ctx := context.Background()
	c, _ := spied(t, backends.Settings{KeyPrefix: "p"})
	log := logTo(t, true)
	for _, test := range []struct {
		name string
		call func()
		want []string
	}{
		{"miss", func() { c.Get(ctx, "k", new(any)) }, []string{"spied: Cache MISS: k"}},
		{"set", func() { c.Set(ctx, "k", 123) }, []string{"spied: Cache SET: k - Size: 3"}},
		{"hit", func() { c.Get(ctx, "k", new(int)) }, []string{"spied: Cache HIT: k"}},
		{"add to something", func() { c.Add(ctx, "k", 1) }, nil},
		{"add", func() { c.Add(ctx, "new", 1) }, []string{"spied: Cache SET: new - Size: 1"}},
		{"many", func() { c.GetMany(ctx, []string{"k", "none"}, map[string]int{}) },
			[]string{"spied: Cache HIT: k", "spied: Cache MISS: none"}},
		{"get or set", func() {
			c.GetOrSet(ctx, "c", new(int), func(context.Context) (any, error) { return 5, nil })
		}, []string{"spied: Cache MISS: c", "spied: Cache SET: c - Size: 1"}},
		{"delete", func() { c.Delete(ctx, "k") }, []string{"spied: Cache DELETE: k"}},
	} {
		log.logged()
		test.call()
		want(t, test.name, log.logged(), test.want)
	}
}

// A server that is down must not fill a disk.
func TestLogOfFaultsIsLimited(t *testing.T) {
	log := logTo(t, false)
	c, e := spied(t, backends.Settings{})
	e.fail = map[string]error{"Get": errDown, "Add": errDown}
	start := time.Now()
	for range 100 {
		c.GetOrSet(context.Background(), "k", new(int), func(context.Context) (any, error) { return 1, nil })
	}
	most := 1 + int(time.Since(start)/time.Second)
	if n := len(log.logged()); n < 1 || n > most {
		t.Errorf("100 calls without a server in %v: got %d lines, want 1 to %d", time.Since(start), n, most)
	}
}
