package decorators_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/klauspost/compress/s2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/internal/test/race"
	"github.com/cacheutils/cacheutils/logging"
)

// An attacker can write to the server. It records what is stored there, and makes items of its own.
type attacker struct {
	t      *testing.T
	client *memcache.Client
}

func newAttacker(t *testing.T, options map[string]any) (*attacker, *backends.Caches) {
	server := memcachedtest.Start(t)
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: options}})
	return &attacker{t, memcache.New(server.Addr())}, set
}

const forgedFlags = 0xCA << 16

// fingerprint returns the fingerprint in what is stored under key.
func (a *attacker) fingerprint(key string) uint64 {
	a.t.Helper()
	item, err := a.client.Get(":1:" + key)
	if err != nil || item.Flags != forgedFlags || len(item.Value) < 12 {
		a.t.Fatalf("recorded %v, %v", item, err)
	}
	return binary.BigEndian.Uint64(item.Value[4:])
}

func (a *attacker) write(key string, item []byte) {
	a.t.Helper()
	if err := a.client.Set(&memcache.Item{Key: ":1:" + key, Value: item, Flags: forgedFlags}); err != nil {
		a.t.Fatal(err)
	}
}

// A section of a frame has a value, without an end.
func section(fingerprint uint64, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0}, fingerprint), payload...)
}

// frame puts sections together.
func frame(sections ...[]byte) []byte {
	f := []byte{0xCA, 3, byte(len(sections) - 1)}
	for _, s := range sections[1:] {
		f = binary.AppendUvarint(f, uint64(len(s)))
	}
	return append(f, bytes.Join(sections, nil)...)
}

// squeezed has the payload of a section compressed, and padded so that it grows at most ratio fold.
func squeezed(section []byte, ratio int) []byte {
	payload := section[9:]
	block := s2.Encode(nil, payload)
	small := append(binary.AppendUvarint(nil, uint64(len(block))), block...)
	if missing := len(payload)/ratio - len(small); missing > 0 {
		small = append(small, make([]byte, missing)...)
	}
	return append(append([]byte{1}, section[1:9]...), small...)
}

// emptySlices is the payload of a [][]int of n empty slices, padded as those that are stored.
func emptySlices(n int) []byte {
	payload := bytes.Repeat([]byte{1}, n)
	return append(binary.AppendUvarint(nil, uint64(n)+1), payload...)
}

// taken returns how many bytes f allocates, the lowest of three tries.
func taken(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func bombKey(name string, id int) string { return fmt.Sprintf("[cached]%s((%d,))", name, id) }

// What one item may become in memory is bounded, however many call at once.
func TestBomb_Memory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory of its own")
	}
	const limit = 64 << 20
	a, set := newAttacker(t, map[string]any{"operation_timeout": "1m"})
	f, h := decorators.Cached1(func(context.Context, int) ([][]int, error) { return [][]int{{7}}, nil }, decorators.Key("bomb.memory"), decorators.On(set))
	call := func(id int) int {
		got, err := f(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		return len(got)
	}
	call(0)
	fingerprint := a.fingerprint(bombKey("bomb.memory", 0))
	for _, test := range []struct {
		name  string
		item  []byte
		hit   bool
		bound uint64
	}{
		{"of 252 KiB, which grows 256 fold", frame(squeezed(section(fingerprint, emptySlices(252<<18)), 256)), false, 4 << 20},
		{"which grows 32 fold", frame(squeezed(section(fingerprint, emptySlices(8<<20)), 32)), false, 12 << 20},
		{"which exceeds the limit by one slice", frame(squeezed(section(fingerprint, emptySlices(limit/25+1)), 32)), false, 4 << 20},
		{"within the limit", frame(squeezed(section(fingerprint, emptySlices(limit/25-1)), 32)), true, limit},
		{"that is not compressed", frame(section(fingerprint, emptySlices(1<<19))), true, 16 << 20},
		{"with more slices than bytes", frame(section(fingerprint, append(binary.AppendUvarint(nil, 1<<40), make([]byte, 100)...))), false, 1 << 20},
		{"with several bombs", frame(
			squeezed(section(fingerprint, append(emptySlices(2<<20), 5)), 32), squeezed(section(fingerprint, append(emptySlices(2<<20), 5)), 32),
			squeezed(section(fingerprint, emptySlices(2<<20)), 32)), false, limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := bombKey("bomb.memory", 1)
			before := h.Stats()
			once := taken(func() {
				a.write(key, test.item)
				if hit := call(1) != 1; hit != test.hit {
					t.Errorf("got a hit: %v", hit)
				}
			})
			if got := h.Stats(); !test.hit && got.Computations-before.Computations != 3 || test.hit && got.Hits-before.Hits != 3 {
				t.Errorf("three calls: got %+v, had %+v", got, before)
			}
			t.Logf("an item of %d KiB takes %d KiB", len(test.item)>>10, once>>10)
			overhead := 3*uint64(len(test.item)) + 1<<20 // to write and to read it
			if once > test.bound*9/8+overhead {
				t.Errorf("it takes %d MiB, want at most %d", once>>20, test.bound>>20)
			}
			together := taken(func() {
				a.write(key, test.item)
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() { call(1) })
				}
				all.Wait()
			})
			if together > 8*(test.bound*9/8+overhead) {
				t.Errorf("eight callers take %d MiB, want at most %d", together>>20, 8*test.bound>>20)
			}
		})
	}
}

// counted is an element that counts how often it is decoded; after the bytes "no" it can't be.
type counted struct{ text string }

var decodedCounted atomic.Int64

func (c counted) MarshalBinary() ([]byte, error) { return []byte(c.text), nil }

func (c *counted) UnmarshalBinary(b []byte) error {
	decodedCounted.Add(1)
	if c.text = string(b); c.text == "no" {
		return errors.New("no")
	}
	return nil
}

// An item that is refused has been decoded once, whatever goes on with its key.
func TestBomb_DecodedOnce(t *testing.T) {
	a, set := newAttacker(t, map[string]any{"operation_timeout": "1m"})
	list := func(texts ...string) []byte {
		b := []byte{byte(len(texts) + 1)}
		for _, text := range texts {
			b = append(append(b, byte(len(text))), text...)
		}
		return b
	}
	few, _ := decorators.Cached1(func(_ context.Context, id int) ([]counted, error) { return []counted{{"a"}}, nil }, decorators.Key("bomb.once"), decorators.On(set))
	many, _ := decorators.CachedMany(func(_ context.Context, ids []int) (map[int][]counted, error) {
		m := make(map[int][]counted)
		for _, id := range ids {
			m[id] = []counted{{"a"}}
		}
		return m, nil
	}, decorators.Key("bomb.many"), decorators.On(set))
	behind, _ := decorators.Cached1(func(_ context.Context, id int) ([]any, error) { return []any{counted{"a"}}, nil }, decorators.Key("bomb.behind"), decorators.On(set))
	ctx := t.Context()
	if _, err := few(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := behind(ctx, 0); err != nil {
		t.Fatal(err)
	}
	fingerprint, behindFingerprint := a.fingerprint(bombKey("bomb.once", 0)), a.fingerprint(bombKey("bomb.behind", 0))
	caches, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	if err := caches.Set(ctx, "counted", counted{"a"}); err != nil {
		t.Fatal(err)
	}
	one := a.fingerprint("counted")
	refused := section(fingerprint, list("b", "no"))
	unknown := append(binary.BigEndian.AppendUint64([]byte{3, 255}, one), append([]byte("\x01b"), append([]byte{255}, "a type."+string([]byte{1})...)...)...)
	call := func(f func() error) func() {
		return func() {
			if err := f(); err != nil && !errors.Is(err, cacheutils.ErrNoCachedValue) && !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Error(err)
			}
		}
	}
	var into []counted
	for _, test := range []struct {
		name string
		key  string
		item []byte
		most int64 // decodings of counted in forged items
		call func()
	}{
		{"a call", bombKey("bomb.once", 1), frame(refused), 2, call(func() error { _, err := few(ctx, 1); return err })},
		{"a call, three sections", bombKey("bomb.once", 1), frame(refused, refused, refused), 6, call(func() error { _, err := few(ctx, 1); return err })},
		{"a list", bombKey("bomb.many", 1), frame(refused), 2, call(func() error { _, err := many(ctx, []int{1, 2}); return err })},
		{"GetOrSet", "low", frame(refused), 2, call(func() error {
			return caches.GetOrSet(ctx, "low", &into, func(context.Context) (any, error) { return []counted{{"a"}}, nil })
		})},
		{"Get", "low", frame(refused), 2, call(func() error { return caches.Get(ctx, "low", &into) })},
		{"Get, three sections", "low", frame(refused, refused, refused), 6, call(func() error { return caches.Get(ctx, "low", &into) })},
		{"GetMany", "low", frame(refused), 2, call(func() error { return caches.GetMany(ctx, []string{"low", "lower"}, map[string][]counted{}) })},
		{"Has", "low", frame(refused, refused, refused), 0, call(func() error { _, err := caches.Has(ctx, "low"); return err })},
		{"Touch", "low", frame(refused, refused, refused), 0, call(func() error { _, err := caches.Touch(ctx, "low"); return err })},
		{"Incr", "low", frame(section(one, []byte("\x01b"))), 0, func() {
			if _, err := caches.Incr(ctx, "low", 1); !errors.Is(err, cacheutils.ErrNotNumber) && !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Errorf("got %v, want ErrNotNumber", err)
			}
		}},
		{"another version's", bombKey("bomb.behind", 1), frame(section(behindFingerprint, unknown)), 1, call(func() error { _, err := behind(ctx, 1); return err })},
		{"other versions'", bombKey("bomb.behind", 1), frame(section(behindFingerprint, unknown), section(behindFingerprint, unknown)), 2,
			call(func() error { _, err := behind(ctx, 1); return err })},
	} {
		t.Run(test.name, func(t *testing.T) {
			count := func() int64 {
				before := decodedCounted.Load()
				test.call()
				return decodedCounted.Load() - before
			}
			_ = a.client.Delete(":1:" + test.key)
			own := count() // of a call that finds nothing: its result is decoded once when it is encoded, to compare it
			a.write(test.key, test.item)
			if n := count() - own; n > test.most {
				t.Errorf("its elements were decoded %d times, want at most %d", n, test.most)
			}
		})
	}
}

// A result that readers would refuse is not stored, and one line says why. All who have joined have it.
func TestBomb_NotStored(t *testing.T) {
	for name, backend := range map[string]backends.Settings{
		"memcached": {Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}},
		"locmem":    {Backend: "locmem", Location: []string{t.Name()}},
	} {
		t.Run(name, func(t *testing.T) {
			backend.Options = map[string]any{"max_decoded_size": 100_000}
			set := newSet(t, backends.Config{"default": backend})
			lines := heard(t)
			var runs atomic.Int64
			f, h := decorators.Cached1(func(_ context.Context, n int) ([][]int, error) {
				runs.Add(1)
				return make([][]int, n), nil
			}, decorators.Key("bomb.stored."+name), decorators.On(set))
			for _, n := range []int{100_000 / 24, 100_000/24 + 1} {
				for range 2 {
					if got, err := f(t.Context(), n); err != nil || len(got) != n {
						t.Errorf("got %d, %v", len(got), err)
					}
				}
			}
			eventually(t, "the store", func() bool { return h.Stats().Stores > 0 })
			if s := h.Stats(); s.Stores != 1 || s.Hits != 1 || s.Unstorable != 2 || s.Errors != 0 || s.Computations != 3 {
				t.Errorf("got %+v", s)
			}
			if got := lines(); len(got) != 1 || !strings.Contains(got[0], "bomb.stored."+name) || !strings.Contains(got[0], "max_decoded_size, 100000") {
				t.Errorf("logged %q", got)
			}
			c, err := set.Get("default")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Set(t.Context(), "k", make([]string, 10_000)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
				t.Errorf("got %v, want ErrUnsupportedValue", err)
			}
			if err := h.Set(t.Context(), 1, make([][]int, 10_000)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
				t.Errorf("got %v, want ErrUnsupportedValue", err)
			}
			if err := cache.Set(t.Context(), "k", strings.Repeat("x", 100_000), cache.On(set)); err != nil {
				t.Error(err)
			}
			got, err := cache.Get[string](t.Context(), "k", cache.On(set))
			if err != nil || len(got) != 100_000 {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			before := runs.Load()
			var all sync.WaitGroup
			all.Add(8)
			slow, slowHandle := decorators.Cached1(func(_ context.Context, n int) ([][]int, error) {
				runs.Add(1)
				all.Wait() // until all have called
				return make([][]int, n), nil
			}, decorators.Key("bomb.joined."+name), decorators.On(set))
			var done sync.WaitGroup
			for range 8 {
				done.Go(func() {
					all.Done()
					if got, err := slow(t.Context(), 10_000); err != nil || len(got) != 10_000 {
						t.Errorf("got %d, %v", len(got), err)
					}
				})
			}
			done.Wait()
			s := slowHandle.Stats()
			if n := runs.Load() - before; n+int64(s.Joins) < 8 || s.Stores != 0 {
				t.Errorf("%d computations, %+v", n, s)
			}
		})
	}
}

// heard returns what returns the lines that were logged since.
func heard(t *testing.T) func() []string {
	var faults atomic.Pointer[[]string]
	faults.Store(new([]string))
	logging.SetSink(faultSink{&faults})
	t.Cleanup(func() { logging.SetSink(nil) })
	return func() []string { return slices.Clone(*faults.Load()) }
}
