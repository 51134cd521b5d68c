package store

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// A counted is a server that counts round trips of lookups.
type counted struct {
	server
	lookups *atomic.Int64
}

func (e counted) Get(ctx context.Context, key string) (engine.Item, error) {
	e.lookups.Add(1)
	return e.server.Get(ctx, key)
}

func (e counted) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	e.lookups.Add(1)
	return e.server.GetMany(ctx, keys)
}

// togetherCalls look up keys at once, and return which of them have a value.
var togetherCalls = map[string]func(c *Store, keys []Key, task *Task) (found map[int]bool){
	"LookupMany": func(c *Store, keys []Key, task *Task) map[int]bool {
		found := make(map[int]bool)
		box := func(int) any { return reflect.New(task.typ.Type()).Interface() }
		c.LookupMany(context.Background(), keys, task, nil, box, func(i int, _ any) { found[i] = true })
		return found
	},
	"GetMany": func(c *Store, keys []Key, task *Task) map[int]bool {
		found := make(map[int]bool)
		_ = c.GetMany(context.Background(), keys, nil, task.typ.Type(), func(i int, _ reflect.Value) { found[i] = true })
		return found
	},
	"a lookup for those that others compute": func(c *Store, keys []Key, task *Task) map[int]bool {
		ctx, there := context.Background(), make(map[int]bool)
		b := &batch{store: c, caller: ctx}
		var members []*member
		for i := range keys {
			e := &member{attempt: attempt{key: &keys[i], task: task, found: new(found)}, index: i}
			f, _ := c.join(ctx, &e.attempt, nil)
			e.m = of(f)
			members = append(members, e)
			there[i] = true
		}
		without := b.lookAgain(ctx, members)
		for _, e := range without {
			delete(there, e.index)
		}
		b.abort(ctx, without, nil)
		return there
	},
}

// Whatever groups entries say that they are in, those that are looked up at once cost one round trip, and one more for the
// groups that nobody asked for.
func TestTogether_UnaskedGroups(t *testing.T) {
	for how, call := range togetherCalls {
		for _, named := range []bool{false, true} { // by one of the keys
			t.Run(fmt.Sprintf("%s/%v", how, named), func(t *testing.T) {
				var lookups atomic.Int64
				c := forgedOn(t, func(e engine.Engine) engine.Engine { return counted{server{e}, &lookups} })
				task := NewTask("f", reflect.TypeFor[firstVersion](), false)
				const n = 50
				keys := make([]Key, n, n+1)
				for i := range keys {
					var groups []string
					for j := range entry.MaxUnasked {
						group := fmt.Sprintf("g%d-%d", i%10, j)
						groups = append(groups, group, "one")
						put(t, c, c.groupKey(group), []byte("one"), entry.FlagsText)
					}
					keys[i] = c.Key(fmt.Sprint("k", i))
					put(t, c, keys[i].stored, frameOf(task.typ.Fingerprint(), []forgery{{groups: groups, body: []byte{2}}}), frameFlags)
				}
				if named && how != "GetMany" {
					keys = append(keys, c.Key("another", "g1-0", "g2-3"))
				}
				want := func(what string, hits int) {
					t.Helper()
					lookups.Store(0)
					if found := call(c, keys, task); len(found) != hits {
						t.Errorf("%s: %d are found, want %d", what, len(found), hits)
					}
					if trips := lookups.Load(); trips != 2 {
						t.Errorf("%s: %d round trips, want 2", what, trips)
					}
				}
				want("all count", n)
				if err := c.InvalidateGroup(context.Background(), "g1-0"); err != nil {
					t.Fatal(err)
				}
				want("a group of some is another", n-n/10)
				if _, err := c.Engine.Delete(context.Background(), c.groupKey("g2-3")); err != nil {
					t.Fatal(err)
				}
				want("one of others is gone", n-n/5)
			})
		}
	}
}

// Values that are looked up at once take no more memory together than one of them may, beyond what their length explains.
func TestTogether_Memory(t *testing.T) {
	for how, call := range togetherCalls {
		t.Run(how, func(t *testing.T) {
			c := forged(t)
			task := NewTask("f", reflect.TypeFor[[][]int](), false)
			const n = 40
			store := func(value [][]int) (keys []Key, took uint64) {
				t.Helper()
				for i := range n {
					keys = append(keys, c.Key(fmt.Sprint(len(value), "-", i)))
					if err := c.Put(context.Background(), keys[i], task, &value, time.Hour); err != nil {
						t.Fatal(err)
					}
				}
				return keys, uint64(24 * len(value))
			}
			bomb := make([][]int, 200_000)
			for i := range bomb {
				bomb[i] = []int{}
			}
			keys, took := store(bomb)
			for i := range keys {
				if found := call(c, keys[i:i+1], task); len(found) != 1 {
					t.Fatalf("%d of one key are found", len(found))
				}
			}
			found := call(c, keys, task)
			if most := c.MaxDecoded + n*fairPerByte*10_000; len(found) == 0 || uint64(len(found))*took > most {
				t.Errorf("%d values of %d bytes are found, more than %d bytes together", len(found), took, most)
			}

			c.sealer.CompressAbove = -1
			keys, took = store(bomb[:50_000])
			if n*took < 2*c.MaxDecoded {
				t.Fatal("not a test")
			}
			if found := call(c, keys, task); len(found) != n {
				t.Errorf("%d values are found that are not compressed, want %d", len(found), n)
			}
		})
	}
}
