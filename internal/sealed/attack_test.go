package sealed_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// These tests are of processes with a secret, and of one who reads and writes what they have on a memcached.

var ctx = context.Background()

const (
	one   = "secret one of a fleet"
	two   = "secret two of a fleet"
	three = "secret three of a fleet"
)

// A process has its own backends on the server, and counts what it computes.
type process struct {
	*backends.Cache
	caches *backends.Caches
	load   func(context.Context, int) (string, error)
	handle *decorators.Handle1[int, string]
	ran    atomic.Int64
	source *atomic.Pointer[string] // what is computed from
	during func()                  // of a computation, unless nil
}

// A source is what the processes of a test compute from.
func source(text string) *atomic.Pointer[string] {
	var p atomic.Pointer[string]
	p.Store(&text)
	return &p
}

// start starts a process with these options. Its function is in the groups.
func start(t *testing.T, server *memcachedtest.Server, from *atomic.Pointer[string], options map[string]any, groups ...string) *process {
	t.Helper()
	all := map[string]any{"operation_timeout": "5s", "lease": "300ms"}
	for name, value := range options {
		all[name] = value
	}
	caches, err := backends.New(backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: all}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { caches.Close() })
	p := &process{caches: caches, source: from}
	p.Cache, _ = caches.Get("default")
	options2 := []decorators.Option{decorators.Key("load"), decorators.On(caches), decorators.Timeout(time.Hour)}
	if len(groups) > 0 {
		options2 = append(options2, decorators.Group(groups...))
	}
	p.load, p.handle = decorators.Cached1(func(_ context.Context, n int) (string, error) {
		p.ran.Add(1)
		text := *p.source.Load()
		if p.during != nil {
			p.during()
		}
		return fmt.Sprint(text, n), nil
	}, options2...)
	return p
}

// with returns the options of a process that has these secrets.
func with(secrets ...string) map[string]any {
	return map[string]any{"secret": secrets, "key_secret": one}
}

// want wants a call to return soon what is computed now, after so many computations.
func (p *process) want(t *testing.T, what string, n int, computations int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	before := p.ran.Load()
	got, err := p.load(ctx, n)
	if want := fmt.Sprint(*p.source.Load(), n); got != want || err != nil {
		t.Errorf("%s: got %q, %v, want %q", what, got, err, want)
	}
	if ran := p.ran.Load() - before; ran != computations {
		t.Errorf("%s: %d computations, want %d", what, ran, computations)
	}
}

// An attacker reads and writes what is on the server.
type attacker struct {
	*memcache.Client
	t *testing.T
}

func attack(t *testing.T, server *memcachedtest.Server) attacker {
	c := memcache.New(server.Addr())
	t.Cleanup(func() { c.Close() })
	return attacker{c, t}
}

func (a attacker) read(key string) *memcache.Item {
	a.t.Helper()
	item, err := a.Get(key)
	if err != nil {
		a.t.Fatalf("read %q: %v", key, err)
	}
	return item
}

func (a attacker) write(key string, flags uint32, value []byte) {
	a.t.Helper()
	if err := a.Set(&memcache.Item{Key: key, Flags: flags, Value: value}); err != nil {
		a.t.Fatalf("write %q: %v", key, err)
	}
}

// keys returns the keys of all that the server has.
func keys(t *testing.T, server *memcachedtest.Server) (all []string) {
	t.Helper()
	nc, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(nc, "lru_crawler metadump all\r\n")
	var got []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte("END\r\n")); {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("metadump: %v after %q", err, got)
		}
		got = append(got, buf[:n]...)
	}
	for line := range strings.Lines(string(got)) {
		if key, ok := strings.CutPrefix(strings.Fields(line)[0], "key="); ok {
			key = strings.NewReplacer("%3A", ":", "%5B", "[", "%5D", "]", "%28", "(", "%29", ")", "%2C", ",").Replace(key)
			all = append(all, key)
		}
	}
	return all
}

// A sink keeps the messages of events.
type sink struct {
	mu    sync.Mutex
	lines []string
}

func (*sink) Enabled(level logging.Level) bool { return level > logging.LevelDebug }

func (s *sink) Log(_ logging.Level, e logging.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprint(e.Message(), e.Err))
}

func logTo(t *testing.T) *sink {
	s := new(sink)
	logging.SetSink(s)
	t.Cleanup(func() { logging.SetSink(nil) })
	return s
}

const key1 = ":1:[cached]load((1,))"

// A frame by hand: two bytes, no other sections, bits, the type's fingerprint, what the bits say.
func frame(bits byte, rest ...byte) []byte {
	return append([]byte{0xCA, 3, 0, bits, 1, 2, 3, 4, 5, 6, 7, 8}, rest...)
}

const frameFlags = 0xCA << 16

// lease is one that nobody renews, which is held until then.
func lease(until int64) []byte {
	rest := append(bytes.Repeat([]byte{7}, 16), binary.AppendVarint(nil, until)...)
	return frame(0x10|0x40, rest...)
}

// Nothing that was not sealed for its key changes what is returned, or keeps anybody waiting, and it is overwritten.
func TestAttack_Forged(t *testing.T) {
	server := memcachedtest.Start(t)
	from := source("right")
	p := start(t, server, from, with(one))
	a := attack(t, server)
	p.want(t, "cold", 1, 1)
	p.want(t, "cold", 2, 1)
	good, other := a.read(key1), a.read(":1:[cached]load((2,))")

	// What the attacker's own processes have, who has the whole source and another server.
	own := memcachedtest.Start(t)
	start(t, own, source("wrong"), nil).want(t, "not sealed", 1, 1)
	plain := attack(t, own).read(key1)
	start(t, own, source("wrong"), with(two)).want(t, "sealed with another secret", 1, 1)
	foreign := attack(t, own).read(key1)

	cut := func(n int) []byte { return good.Value[:n] }
	flipped := bytes.Clone(good.Value)
	flipped[len(flipped)-1] ^= 1
	longer := append(bytes.Clone(good.Value), 0)
	for _, test := range []struct {
		name  string
		flags uint32
		value []byte
	}{
		{"a frame that is not sealed", plain.Flags, plain.Value},
		{"the same, as if it were sealed", entry.FlagsSealed, plain.Value},
		{"sealed with another secret", foreign.Flags, foreign.Value},
		{"the entry of another key", other.Flags, other.Value},
		{"other flags", frameFlags, good.Value},
		{"flags of a number", 2, good.Value},
		{"flags of text", 16, good.Value},
		{"flags of one bit more", good.Flags | 1, good.Value},
		{"a bit of the tag", good.Flags, flipped},
		{"longer", good.Flags, longer},
		{"cut by one", good.Flags, cut(len(good.Value) - 1)},
		{"nothing but the head", good.Flags, cut(17)},
		{"half", good.Flags, cut(len(good.Value) / 2)},
		{"nothing", good.Flags, nil},
		{"nothing, without flags", 0, nil},
		{"a number", 2, []byte("666")},
		{"text", 16, []byte("wrong1")},
		{"a pickle", 1, []byte("\x80\x04\x95\x06\x00")},
		{"a lease for ever", frameFlags, lease(1 << 60)},
		{"a lease of before time", frameFlags, lease(-1 << 62)},
		{"an entry without a value", frameFlags, frame(0x40)},
		{"a negative entry", frameFlags, frame(0x40 | 0x80)},
		{"a frame in a group that nobody has", frameFlags, frame(0x08, 1, 1, 'g', 1, 'x')},
		{"a compressed frame", frameFlags, frame(0x01, 0xff, 0xff, 0xff, 0xff, 0x0f)},
		{"a megabyte", good.Flags, bytes.Repeat([]byte{1}, 1<<20-200)},
	} {
		t.Run(test.name, func(t *testing.T) {
			a.t = t
			a.write(key1, test.flags, test.value)
			p.want(t, "forged", 1, 1)
			p.want(t, "then", 1, 0)

			a.write(key1, test.flags, test.value)
			got, err := p.handle.RequireCache(ctx, 1)
			if !errors.Is(err, cacheutils.ErrNoCachedValue) {
				t.Errorf("RequireCache: got %q, %v", got, err)
			}
			if err := p.handle.Invalidate(ctx, 1); err != nil {
				t.Errorf("Invalidate: %v", err)
			}
			p.want(t, "after Invalidate", 1, 1)
			a.write(key1, test.flags, test.value)
			if got, err := p.handle.ForceRecalc(ctx, 1); got != "right1" || err != nil {
				t.Errorf("ForceRecalc: got %q, %v", got, err)
			}
			p.want(t, "after ForceRecalc", 1, 0)
		})
	}
}

// Of many keys on two servers, each gets what was sealed for it, wherever the entries are moved.
func TestAttack_ManyMoved(t *testing.T) {
	first, second := memcachedtest.Start(t), memcachedtest.Start(t)
	options := map[string]any{"secret": one, "operation_timeout": "5s"}
	caches, err := backends.New(backends.Config{"default": {Backend: "memcached", Location: []string{first.Addr(), second.Addr()}, Options: options}})
	if err != nil {
		t.Fatal(err)
	}
	defer caches.Close()
	var ran atomic.Int64
	load, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]string, error) {
		ran.Add(int64(len(keys)))
		all := make(map[int]string)
		for _, n := range keys {
			all[n] = fmt.Sprint("right", n)
		}
		return all, nil
	}, decorators.Key("many"), decorators.On(caches), decorators.Timeout(time.Hour))
	var numbers []int
	for n := range 40 {
		numbers = append(numbers, n)
	}
	check := func(what string, computed int64) {
		t.Helper()
		before := ran.Load()
		got, err := load(ctx, numbers)
		for _, n := range numbers {
			if got[n] != fmt.Sprint("right", n) || err != nil {
				t.Fatalf("%s: %d is %q, %v", what, n, got[n], err)
			}
		}
		if n := ran.Load() - before; n != computed {
			t.Errorf("%s: %d are computed, want %d", what, n, computed)
		}
	}
	check("cold", 40)
	check("then", 0)
	for _, server := range []*memcachedtest.Server{first, second} {
		a := attack(t, server)
		var items []*memcache.Item
		for _, key := range keys(t, server) {
			items = append(items, a.read(key))
		}
		if len(items) < 4 {
			t.Fatalf("%s has %d items", server.Addr(), len(items))
		}
		for i, item := range items {
			other := items[(i+1)%len(items)]
			a.write(item.Key, other.Flags, other.Value)
		}
	}
	check("moved", 40)
	check("then", 0)
}

// The low-level operations take what they can't open for nothing, and write over it.
func TestAttack_Operations(t *testing.T) {
	server := memcachedtest.Start(t)
	p, a := start(t, server, source("right"), with(one)), attack(t, server)
	const stored = ":1:k"
	forged := map[string]*memcache.Item{
		"a frame":  {Flags: frameFlags, Value: lease(1 << 60)},
		"a number": {Flags: 2, Value: []byte("666")},
		"text":     {Flags: 16, Value: []byte("wrong")},
		"sealed":   {Flags: entry.FlagsSealed, Value: bytes.Repeat([]byte{1}, 100)},
	}
	for name, item := range forged {
		forge := func() {
			t.Helper()
			a.write(stored, item.Flags, item.Value)
		}
		check := func(what string, ok bool, err, want error) {
			t.Helper()
			if !ok || !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, %v", name, what, ok, err)
			}
		}
		forge()
		var into any = "as it was"
		err := p.Get(ctx, "k", &into)
		check("Get", into == "as it was" && errors.Is(err, cacheutils.ErrUndecodable), err, cacheutils.ErrCacheMiss)
		has, err := p.Has(ctx, "k")
		check("Has", !has, err, nil)
		many := map[string]any{}
		check("GetMany", len(many) == 0, p.GetMany(ctx, []string{"k", "none"}, many), nil)
		touched, err := p.Touch(ctx, "k")
		check("Touch", !touched, err, nil)
		_, err = p.Incr(ctx, "k", 1)
		check("Incr", true, err, cacheutils.ErrCacheMiss)
		added, err := p.Add(ctx, "k", 1)
		check("Add", added, err, nil)
		sum, err := p.Incr(ctx, "k", 1)
		check("Incr after Add", sum == 2, err, nil)
		forge()
		var text string
		err = p.GetOrSet(ctx, "k", &text, func(context.Context) (any, error) { return "computed", nil })
		check("GetOrSet", text == "computed", err, nil)
		err = p.Get(ctx, "k", &text)
		check("Get after GetOrSet", text == "computed", err, nil)
		forge()
		check("Set", true, p.Set(ctx, "k", "set"), nil)
		err = p.Get(ctx, "k", &text)
		check("Get after Set", text == "set", err, nil)
		forge()
		had, err := p.Delete(ctx, "k")
		check("Delete", had, err, nil)
		_, err = a.Get(stored)
		check("Get after Delete", true, err, memcache.ErrCacheMiss)
	}
}

// A number keeps its time, on a server that counts in seconds too, while it is counted.
func TestAttack_NumbersEnd(t *testing.T) {
	server := memcachedtest.Start(t)
	p := start(t, server, source("right"), with(one))
	if err := p.Set(ctx, "n", 0, backends.Timeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; {
		_, err := p.Incr(ctx, "n", 1)
		if errors.Is(err, cacheutils.ErrCacheMiss) {
			break
		}
		if err != nil || time.Since(began) > 20*time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
	if added, err := p.Add(ctx, "n", 0); !added || err != nil {
		t.Errorf("Add after its end: %v, %v", added, err)
	}
}

// Whatever is stored is sealed: entries, leases and what is left of them, groups, numbers, text, several at once.
func TestAttack_EverythingIsSealed(t *testing.T) {
	server := memcachedtest.Start(t)
	a := attack(t, server)
	seen := make(map[string]bool)
	check := func() {
		for _, key := range keys(t, server) {
			item, err := a.Get(key)
			if err != nil || key == "cacheutils:ping" {
				continue // it has gone since, or has nothing in it
			}
			seen[key] = true
			if item.Flags != entry.FlagsSealed || bytes.Contains(item.Value, []byte("hunter2")) {
				t.Errorf("%s: flags %#x, %q", key, item.Flags, item.Value)
			}
		}
	}
	p := start(t, server, source("hunter2"), with(one), "cities")
	p.during = check // the lease is there
	p.want(t, "cold", 1, 1)
	failing, _ := decorators.Cached1(func(context.Context, int) (string, error) { return "", errors.New("failed") },
		decorators.Key("failing"), decorators.On(p.caches))
	failing(ctx, 1)
	check()
	for i, value := range []any{1, int8(-5), uint64(1 << 63), "hunter2", []byte("hunter2"), map[string]string{"hunter2": "hunter2"}, strings.Repeat("hunter2", 1000), nil, 1.5} {
		if err := p.Set(ctx, fmt.Sprint("k", i), value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Incr(ctx, "k0", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Touch(ctx, "k0"); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(ctx, "grouped", "hunter2", backends.Group("hotels")); err != nil {
		t.Fatal(err)
	}
	if err := p.InvalidateGroup(ctx, "cities", "new"); err != nil {
		t.Fatal(err)
	}
	if err := p.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	check()
	for _, key := range []string{key1, ":1:[cached]failing((1,))", ":1:k0", ":1:grouped", "_group::cities", "_group::hotels", "_group::new"} {
		if !seen[key] {
			t.Errorf("%s was not there: %v", key, seen)
		}
	}
}

// The largest item that memcached takes counts as it is sealed.
func TestSealed_LargestItem(t *testing.T) {
	server := memcachedtest.Start(t, "-I", "512k")
	options := with(one)
	options["max_item_size"], options["compress_above"] = 512<<10, -1
	p, a := start(t, server, source("right"), options), attack(t, server)
	size := 512<<10 - 200
	for ; ; size++ {
		err := p.Set(ctx, "k", strings.Repeat("x", size))
		if errors.Is(err, cacheutils.ErrTooLarge) {
			break
		}
		if err != nil || size > 512<<10 {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if _, err := a.Get(":1:k"); err != memcache.ErrCacheMiss {
		t.Errorf("what was there before is left: %v", err)
	}
	if err := p.Set(ctx, "k", strings.Repeat("x", size-1)); err != nil {
		t.Fatal(err)
	}
	if sealed := len(a.read(":1:k").Value); sealed+len(":1:k")+63 > 512<<10 || sealed <= size-1 {
		t.Errorf("%d bytes are sealed to %d", size-1, sealed)
	}
}

// What the engine inside has besides items is there, and an invalidation that could not be sent is carried out later.
func TestSealed_Parts(t *testing.T) {
	logTo(t)
	server := memcachedtest.Start(t)
	options := with(one)
	options["invalidation_replay"], options["probe_interval"], options["operation_timeout"] = 100, "20ms", "250ms"
	from := source("old")
	p := start(t, server, from, options, "cities")
	p.want(t, "cold", 1, 1)
	if len(p.Servers()) != 1 || p.Ping(ctx) != nil {
		t.Errorf("servers %v, ping %v", p.Servers(), p.Ping(ctx))
	}
	if err := p.Set(ctx, "a b", 1); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("a key with a space: %v", err)
	}
	server.Pause()
	text := "new"
	from.Store(&text)
	if err := p.InvalidateGroup(ctx, "cities"); !errors.Is(err, cacheutils.ErrQueued) {
		t.Fatalf("with a server that hangs: %v", err)
	}
	server.Resume()
	for end := time.Now().Add(20 * time.Second); p.Ping(ctx) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server is not up again")
		}
	}
	p.want(t, "once it is up again", 1, 1)
	p.want(t, "then", 1, 0)
}

// Whether a fleet's processes have secrets or not, and which: until all have the same, they miss what the others have
// stored. No caller gets an error, and the log a line a second.
func TestAttack_SwitchedOnAndOff(t *testing.T) {
	for name, options := range map[string][2]map[string]any{
		"on":             {nil, with(one)},
		"off":            {with(one), nil},
		"another secret": {with(one), with(two)},
	} {
		t.Run(name, func(t *testing.T) {
			log := logTo(t)
			server := memcachedtest.Start(t)
			from := source("right")
			before, after := start(t, server, from, options[0]), start(t, server, from, options[1])
			began := time.Now()
			for i := range 20 {
				before.want(t, "before", 1, 1)
				after.want(t, "after", 1, 1)
				if i%5 == 0 {
					text := fmt.Sprint("right", i)
					from.Store(&text)
					p := []*process{before, after}[i%2]
					if err := p.handle.Invalidate(ctx, 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			after.want(t, "before", 1, 0)
			if most := 4 + 4*int(time.Since(began)/time.Second); len(log.lines) > most {
				t.Errorf("%d lines in %v: %q", len(log.lines), time.Since(began), log.lines)
			}
		})
	}
}

// What was not sealed for a group's key is no generation: it is replaced, and what is in the group is kept again.
func TestAttack_ForgedGroup(t *testing.T) {
	server := memcachedtest.Start(t)
	from := source("right")
	p, a := start(t, server, from, with(one), "cities"), attack(t, server)
	p.want(t, "cold", 1, 1)
	entry1 := a.read(key1)
	for name, item := range map[string]*memcache.Item{
		"a uuid":           {Flags: 16, Value: []byte("6ba7b810-9dad-11d1-80b4-00c04fd430c8")},
		"text":             {Flags: 16, Value: []byte("x")},
		"nothing":          {Flags: 16},
		"a megabyte":       {Flags: 16, Value: bytes.Repeat([]byte("x"), 1<<20-200)},
		"an entry":         {Flags: entry1.Flags, Value: entry1.Value},
		"a counter":        {Flags: 2, Value: []byte("1")},
		"sealed otherwise": {Flags: entry.FlagsSealed, Value: bytes.Repeat([]byte{1}, 93)},
	} {
		a.write("_group::cities", item.Flags, item.Value)
		p.want(t, name, 1, 1)
		p.want(t, name+", then", 1, 0)
		a.write("_group::cities", item.Flags, item.Value)
		if err := p.InvalidateGroup(ctx, "cities"); err != nil {
			t.Errorf("%s: InvalidateGroup: %v", name, err)
		}
		p.want(t, name+", after InvalidateGroup", 1, 1)
		p.want(t, name+", then", 1, 0)
		a.write("_group::cities", item.Flags, item.Value)
		if err := p.Set(ctx, "k", "v", backends.Group("cities")); err != nil {
			t.Errorf("%s: Set: %v", name, err)
		}
		var got string
		if err := p.Get(ctx, "k", &got, backends.Group("cities")); got != "v" || err != nil {
			t.Errorf("%s: Get: %q, %v", name, got, err)
		}
	}
}

// With open_groups a Django project's invalidation counts, and its generation is used as it is.
func TestOpenGroups(t *testing.T) {
	server := memcachedtest.Start(t)
	from := source("right")
	options := with(one)
	options["open_groups"] = true
	p, django := start(t, server, from, options, "cities"), attack(t, server)
	p.want(t, "cold", 1, 1)
	if item := django.read("_group::cities"); item.Flags != 16 || len(item.Value) != 36 {
		t.Errorf("the group is %q, flags %d", item.Value, item.Flags)
	}
	if item := django.read(key1); item.Flags != entry.FlagsSealed {
		t.Errorf("the entry has flags %#x", item.Flags)
	}
	django.write("_group::cities", 16, []byte("6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
	text := "new"
	from.Store(&text)
	p.want(t, "after Django's invalidation", 1, 1)
	p.want(t, "then", 1, 0)
	if item := django.read("_group::cities"); string(item.Value) != "6ba7b810-9dad-11d1-80b4-00c04fd430c8" {
		t.Errorf("the group is %q", item.Value)
	}
	if err := p.InvalidateGroup(ctx, "cities"); err != nil {
		t.Fatal(err)
	}
	p.want(t, "after our own", 1, 1)
}

// A group's old generation, put back, brings back what was stored under it, as long as that has not been overwritten.
func TestLimit_ReplayedGroup(t *testing.T) {
	server := memcachedtest.Start(t)
	from := source("old")
	p, a := start(t, server, from, with(one), "cities"), attack(t, server)
	p.want(t, "cold", 1, 1)
	recorded := a.read("_group::cities")
	text := "new"
	from.Store(&text)
	if err := p.InvalidateGroup(ctx, "cities"); err != nil {
		t.Fatal(err)
	}
	a.write("_group::cities", recorded.Flags, recorded.Value)
	if got, err := p.load(ctx, 1); got != "old1" || err != nil {
		t.Errorf("got %q, %v: if a replay is found out, docs/security.md has to say so", got, err)
	}
}

// Two halves of a fleet at each step of a rotation, and at steps that are left out: nobody gets what was invalidated before
// the call, by an entry or by a group, from whichever half. Where each half opens what the other has stored,
// one computes for both.
func TestRotation(t *testing.T) {
	open := with(one)
	open["open_groups"] = true
	for _, test := range []struct {
		name   string
		a, b   map[string]any
		shared bool
	}{
		{"one deploy", with(one), with(one, two), true},
		{"two deploys", with(one, two), with(two, one), true},
		{"three deploys", with(two, one), with(two), true},
		{"a deploy left out", with(one), with(two, one), false},
		{"all at once", with(one), with(two), false},
		{"switched on", nil, with(one), false},
		{"groups opened", with(one), open, false},
		{"three secrets", with(one, two, three), with(three, two), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			logTo(t)
			server := memcachedtest.Start(t)
			from := source("0")
			both := []*process{start(t, server, from, test.a, "cities"), start(t, server, from, test.b, "cities")}
			for i := range 60 {
				invalidates, first, second := both[i%2], both[i/2%2], both[i/4%2]
				text := fmt.Sprint(i, " ")
				from.Store(&text)
				var err error
				if i%3 == 0 {
					err = invalidates.InvalidateGroup(ctx, "cities")
				} else {
					err = invalidates.handle.Invalidate(ctx, 1)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range []*process{first, second, first} {
					before := both[0].ran.Load() + both[1].ran.Load()
					got, err := p.load(ctx, 1)
					if want := fmt.Sprint(text, 1); got != want || err != nil {
						t.Fatalf("round %d: got %q, %v, want %q", i, got, err, want)
					}
					ran := both[0].ran.Load() + both[1].ran.Load() - before
					if most := int64(1); ran > most {
						t.Fatalf("round %d: %d computations in a call", i, ran)
					}
				}
				if ran := both[0].ran.Load() + both[1].ran.Load(); test.shared && ran != int64(i+1) {
					t.Fatalf("round %d: %d computations", i, ran)
				}
			}
		})
	}
}

// The same while both halves call and invalidate at once, and the source changes: an invalidation that has returned is
// seen by every call that starts then.
func TestRotation_AtOnce(t *testing.T) {
	logTo(t)
	server := memcachedtest.Start(t)
	var version, invalidated atomic.Int64
	caller := func(secrets ...string) *process {
		p := start(t, server, source(""), with(secrets...))
		p.load, p.handle = decorators.Cached1(func(context.Context, int) (string, error) {
			return fmt.Sprint(version.Load()), nil
		}, decorators.Key("version"), decorators.On(p.caches), decorators.Group("versions"), decorators.Timeout(time.Hour))
		return p
	}
	fleet := []*process{caller(one), caller(one, two), caller(two, one), caller(two)}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	for _, p := range fleet {
		for range 2 {
			all.Go(func() {
				for ctx.Err() == nil {
					least := invalidated.Load()
					text, err := p.load(context.Background(), 1)
					var got int64
					fmt.Sscan(text, &got)
					if err != nil || got < least {
						t.Errorf("got %q, %v after version %d was invalidated", text, err, least)
						return
					}
				}
			})
		}
	}
	for i := range 200 {
		n := version.Add(1)
		p := fleet[i%len(fleet)]
		var err error
		if i%2 == 0 {
			err = p.InvalidateGroup(context.Background(), "versions")
		} else {
			err = p.handle.Invalidate(context.Background(), 1)
		}
		if err != nil {
			t.Error(err)
			break
		}
		invalidated.Store(n)
	}
	cancel()
	all.Wait()
}

// What is put back under the key that it was stored under is what it was, until it ends: an invalidated entry is there
// again. A secret does not stop that.
func TestLimit_ReplayedEntry(t *testing.T) {
	server := memcachedtest.Start(t)
	from := source("old")
	p, a := start(t, server, from, with(one)), attack(t, server)
	p.want(t, "cold", 1, 1)
	recorded := a.read(key1)
	text := "new"
	from.Store(&text)
	if err := p.handle.Invalidate(ctx, 1); err != nil {
		t.Fatal(err)
	}
	p.want(t, "after Invalidate", 1, 1)
	a.write(key1, recorded.Flags, recorded.Value)
	if got, err := p.load(ctx, 1); got != "old1" || err != nil {
		t.Errorf("got %q, %v: if a replay is found out, docs/security.md has to say so", got, err)
	}
}

// What has ended doesn't come back: a lease that was recorded is over when it was to be.
func TestAttack_ReplayedLease(t *testing.T) {
	server := memcachedtest.Start(t)
	p, a := start(t, server, source("right"), with(one)), attack(t, server)
	var recorded *memcache.Item
	p.during = func() { recorded = a.read(key1) }
	p.want(t, "cold", 1, 1)
	p.during = nil
	a.write(key1, recorded.Flags, recorded.Value) // with no expiry
	began := time.Now()
	p.want(t, "with a lease that was put back", 1, 1)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	a.write(key1, recorded.Flags, recorded.Value)
	p.want(t, "once it has ended", 1, 1)
}
