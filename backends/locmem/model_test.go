package locmem_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// A model is what a store has to do, in the simplest way: a map. Where a store drops entries, the
// model learns of it when one isn't found, and from then on it has to stay away.
type model struct {
	*rapid.T
	e     engine.Engine
	items map[string]modelItem
	cas   map[uint64]bool // all that were ever seen

	bounded bool
	recent  []string // the keys last written, whose entries a bounded store has to have, oldest first
	drops   *int
}

type modelItem struct {
	engine.Item
	until time.Time // zero for never
}

const recent = 4

// Check compares what is under all keys.
func (m *model) Check(*rapid.T) {
	for i := range 6 {
		key := fmt.Sprint("k", i)
		there := m.there(key)
		if got, err := m.e.Get(ctx, key); there != (err == nil) {
			m.Fatalf("at last, get %s: %v, want %v", key, err, there)
		} else if there {
			m.compare(key, got)
		}
	}
}

func (m *model) expire() {
	for key, item := range m.items {
		if !item.until.IsZero() && !time.Now().Before(item.until) {
			m.remove(key)
		}
	}
}

func (m *model) remove(key string) {
	delete(m.items, key)
	m.forget(key)
}

// forget is for a key whose entry counts no longer as one of the recent writes; its place is not given to others.
func (m *model) forget(key string) {
	for i, k := range m.recent {
		if k == key {
			m.recent[i] = ""
		}
	}
}

// there reports whether the store has the key, which the model has, or has dropped it.
func (m *model) there(key string) bool {
	item, there := m.items[key]
	if !there || !m.bounded || item.Ephemeral || slices.Contains(m.recent, key) {
		return there
	}
	if _, err := m.e.Get(ctx, key); err != nil {
		m.remove(key)
		*m.drops++
		return false
	}
	return true
}

// wrote is for a write that has succeeded.
func (m *model) wrote(key string, item engine.Item, until time.Time) {
	if m.items[key] = (modelItem{item, until}); item.Ephemeral {
		m.forget(key)
	} else if m.recent = append(m.recent, key); len(m.recent) > recent {
		m.recent = m.recent[1:]
	}
	synctest.Wait() // until what is too much has been dropped
	got, err := m.e.Get(ctx, key)
	if err != nil {
		m.Fatalf("%s was written just now: %v", key, err)
	}
	if got.CAS == item.CAS || m.cas[got.CAS] {
		m.Fatalf("cas %d of %s, it was %d", got.CAS, key, item.CAS)
	}
	m.cas[got.CAS] = true
	item.CAS = got.CAS
	m.items[key] = modelItem{item, until}
	m.compare(key, got)
}

func (m *model) compare(key string, got engine.Item) {
	want := m.items[key].Item
	if string(got.Value) != string(want.Value) || got.Live != want.Live || got.Flags != want.Flags ||
		got.Ephemeral != want.Ephemeral || got.Cost != want.Cost || got.CAS != want.CAS {
		m.Fatalf("%s is %+v, want %+v", key, got, want)
	}
}

func (m *model) check(doing, key string, got, want bool, err error) {
	if err != nil || got != want {
		m.Fatalf("%s %s: %v, %v, want %v", doing, key, got, err, want)
	}
}

func (m *model) key() string { return fmt.Sprint("k", rapid.IntRange(0, 5).Draw(m.T, "key")) }

func (m *model) item() engine.Item {
	ephemeral := rapid.Bool().Draw(m.T, "ephemeral")
	n := rapid.IntRange(0, 99).Draw(m.T, "value")
	if rapid.Bool().Draw(m.T, "live") {
		return engine.Item{Live: n, Cost: 8, Ephemeral: ephemeral}
	}
	text := strconv.Itoa(n)
	return engine.Item{Value: []byte(text), Cost: len(text), Flags: uint32(n), Ephemeral: ephemeral}
}

func (m *model) timeout() (time.Duration, time.Time) {
	d := rapid.SampledFrom([]time.Duration{1, time.Second, time.Minute, cacheutils.Forever}).Draw(m.T, "timeout")
	if d == cacheutils.Forever {
		return d, time.Time{}
	}
	return d, time.Now().Add(d)
}

func (m *model) Get(*rapid.T) {
	key := m.key()
	there := m.there(key)
	got, err := m.e.Get(ctx, key)
	if there != (err == nil) || err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
		m.Fatalf("get %s: %v, want %v", key, err, there)
	}
	if there {
		m.compare(key, got)
	}
}

func (m *model) Ref(*rapid.T) {
	key := m.key()
	there := m.there(key)
	ref := m.e.(engine.Referrer).Ref(key)
	if ref == nil { // there may be none to what is there
		return
	}
	if item := ref.Item(); item == nil || !there || item.Live != m.items[key].Live {
		m.Fatalf("ref to %s: %v, want %v, %v", key, item, m.items[key].Live, there)
	}
}

func (m *model) GetMany(*rapid.T) {
	keys := []string{m.key(), m.key(), m.key()}
	want := map[string]bool{}
	for _, key := range keys {
		if m.there(key) {
			want[key] = true
		}
	}
	got, err := m.e.GetMany(ctx, keys)
	if err != nil || len(got) != len(want) {
		m.Fatalf("GetMany %s: %v, %v, want %v", keys, got, err, want)
	}
	for key, item := range got {
		m.compare(key, item)
	}
}

func (m *model) Set(*rapid.T) {
	key, item := m.key(), m.item()
	timeout, until := m.timeout()
	m.check("set", key, true, true, m.e.Set(ctx, key, item, timeout))
	m.wrote(key, item, until)
}

// SetMany writes so many others that a bounded store drops what it has, and makes them popular.
func (m *model) SetMany(*rapid.T) {
	for i := range 50 {
		key := fmt.Sprint("other", i)
		m.check("set", key, true, true, m.e.Set(ctx, key, text("v"), time.Minute))
		m.e.Get(ctx, key)
		m.e.Get(ctx, key)
	}
	m.recent = nil
	synctest.Wait()
}

func (m *model) SetTooLarge(*rapid.T) {
	key := m.key()
	item := engine.Item{Live: 1, Cost: math.MaxInt}
	if err := m.e.Set(ctx, key, item, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
		m.Fatalf("set of a large item: %v", err)
	}
	m.remove(key)
}

func (m *model) Add(*rapid.T) {
	key, item := m.key(), m.item()
	timeout, until := m.timeout()
	there := m.there(key)
	ok, err := m.e.Add(ctx, key, item, timeout)
	m.check("add", key, ok, !there, err)
	if ok {
		m.wrote(key, item, until)
	}
}

func (m *model) CompareAndSwap(*rapid.T) {
	key, item := m.key(), m.item()
	timeout, until := m.timeout()
	there := m.there(key)
	item.CAS = m.items[key].CAS
	if rapid.IntRange(0, 3).Draw(m.T, "late") == 0 {
		item.CAS-- // another's, or nobody's
		there = false
	}
	ok, err := m.e.CompareAndSwap(ctx, key, item, timeout)
	m.check("swap", key, ok, there, err)
	if ok {
		m.wrote(key, item, until)
	}
}

func (m *model) SwapLive(*rapid.T) {
	key, item, old := m.key(), m.item(), rapid.IntRange(0, 99).Draw(m.T, "old")
	if live, ok := m.items[key].Live.(int); ok && rapid.Bool().Draw(m.T, "as it is") {
		old = live
	}
	timeout, until := m.timeout()
	there := m.there(key) && m.items[key].Live == old
	ok, err := m.e.(engine.LiveSwapper).SwapLive(ctx, key, old, item, timeout)
	m.check("swap live", key, ok, there, err)
	if ok {
		m.wrote(key, item, until)
	}
}

func (m *model) Delete(*rapid.T) {
	key := m.key()
	there := m.there(key)
	ok, err := m.e.Delete(ctx, key)
	m.check("delete", key, ok, there, err)
	m.remove(key)
}

func (m *model) Incr(*rapid.T) {
	key := m.key()
	there := m.there(key)
	item := m.items[key]
	n, err := m.e.Incr(ctx, key, 7)
	switch {
	case !there:
		if !errors.Is(err, cacheutils.ErrCacheMiss) {
			m.Fatalf("incr of nothing: %v", err)
		}
	case item.Live != nil:
		if !errors.Is(err, cacheutils.ErrNotNumber) {
			m.Fatalf("incr of a live value: %v", err)
		}
	default:
		before, _ := strconv.Atoi(string(item.Value))
		if err != nil || n != int64(before+7) {
			m.Fatalf("incr %s from %d: %d, %v", key, before, n, err)
		}
		item.Cost -= len(item.Value)
		item.Value = strconv.AppendInt(nil, n, 10)
		item.Cost += len(item.Value)
		m.wrote(key, item.Item, item.until)
	}
}

func (m *model) Clear(*rapid.T) {
	m.check("clear", "", true, true, m.e.Clear(ctx, ""))
	clear(m.items)
	m.recent = nil
}

func (m *model) ClearPrefix(*rapid.T) {
	key := m.key()
	prefix := key[:rapid.IntRange(1, len(key)).Draw(m.T, "prefix")]
	m.check("clear", prefix, true, true, m.e.Clear(ctx, prefix))
	for key := range m.items {
		if strings.HasPrefix(key, prefix) {
			m.remove(key)
		}
	}
}

func (m *model) Wait(*rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{1, time.Second - 1, time.Second, time.Minute}).Draw(m.T, "wait"))
	synctest.Wait()
	m.expire()
}

// A bubble is a test in a bubble of testing/synctest, where rapid may not read the test's deadline.
type bubble struct{ *testing.T }

// A store does what a map does, with markers and with timeouts, whether it drops entries or not.
func TestModel(t *testing.T) {
	for _, entries := range []int{0, 100, 32} {
		t.Run(fmt.Sprint("max_entries=", entries), func(t *testing.T) {
			drops := 0
			synctest.Test(t, func(t *testing.T) {
				rapid.Check(bubble{t}, func(rt *rapid.T) {
					m := &model{T: rt, items: map[string]modelItem{}, cas: map[uint64]bool{}, bounded: entries > 0, drops: &drops}
					options := map[string]any{"max_cost": 1 << 30}
					if m.bounded {
						options["max_entries"] = entries
					}
					var err error
					if m.e, err = locmem.Open(engine.Settings{Location: []string{"model"}, Options: options}); err != nil {
						rt.Fatal(err)
					}
					defer m.e.Close()
					rt.Repeat(rapid.StateMachineActions(m))
				})
			})
			t.Logf("%d entries were dropped", drops)
			if entries == 32 && drops == 0 {
				t.Error("no entry was ever dropped")
			}
		})
	}
}
