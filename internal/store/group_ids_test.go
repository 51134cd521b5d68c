package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// noGenerations are what may be under a group's key and is no generation.
var noGenerations = map[string]engine.Item{
	"nothing in it":          {Flags: 16},
	"a byte too many":        {Flags: 16, Value: []byte(strings.Repeat("x", 65))},
	"half a megabyte":        {Flags: 16, Value: []byte(strings.Repeat("x", 512<<10))},
	"a space":                {Flags: 16, Value: []byte("a b")},
	"spaces around":          {Flags: 16, Value: []byte(" 1b4e28ba-2fa1-11d2-883f-0016d3cca427 ")},
	"a line break":           {Flags: 16, Value: []byte("a\r\nflush_all")},
	"a zero":                 {Flags: 16, Value: []byte("a\x00")},
	"delete":                 {Flags: 16, Value: []byte("a\x7f")},
	"Unicode":                {Flags: 16, Value: []byte("città")},
	"bytes that are no text": {Flags: 0, Value: []byte("\xff\xfe")},
	"a counter":              {Flags: 2, Value: []byte("41")},
	"a counter as text":      {Flags: 16, Value: []byte("0")},
	"a pickle":               {Flags: 1, Value: []byte("\x80\x05\x88\x2e")},
	"an entry":               {Flags: 0xCA << 16, Value: append([]byte{0xCA, 3, 0, 0x40}, make([]byte, 8)...)},
}

// What is under a group's key and no generation is replaced by one, with the first result that is stored.
func TestGroupIDs_Overwritten(t *testing.T) {
	for name, item := range noGenerations {
		for _, how := range []string{"a call", "Set", "Add", "GetOrSet"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				inSea(t, -1, func(t *testing.T, h *history, all []*program) {
					ctx, p, q := context.Background(), all[0], all[1]
					write := func() {
						h.sea.mu.Lock()
						h.sea.put("_group::g", item, cacheutils.Forever)
						h.sea.mu.Unlock()
					}
					store := func(c *Store) error {
						key := c.Key("k", "g")
						switch how {
						case "Set":
							return c.Set(ctx, key, "v", time.Hour)
						case "Add":
							_, err := c.Add(ctx, key, "v", time.Hour)
							return err
						case "GetOrSet":
							var v string
							return c.GetOrSet(ctx, key, &v, func(context.Context) (any, error) { return "v", nil }, time.Hour)
						default:
							return p.store.Fetch(ctx, p.key(), p.task, p.takes(0, 1, time.Hour)).Err
						}
					}
					for range 2 {
						write()
						if err := store(p.store); err != nil {
							t.Fatal(err)
						}
						h.sea.mu.Lock()
						now := h.sea.items["_group::g"]
						h.sea.mu.Unlock()
						if _, err := uuid.ParseBytes(now.Value); err != nil || now.Flags != 16 || !now.ends.IsZero() {
							t.Fatalf("then the group's key holds %.40q with flags %d until %v, want a uuid", now.Value, now.Flags, now.ends)
						}
						for _, c := range []*Store{p.store, q.store} {
							if had, err := c.Has(ctx, c.Key("k", "g")); !had || err != nil {
								t.Fatalf("what was stored is not found: %v, %v", had, err)
							}
						}
					}
					write() // as good as an invalidation
					if had, err := p.store.Has(ctx, p.store.Key("k", "g")); had || err != nil {
						t.Errorf("without a generation what was stored is found: %v, %v", had, err)
					}
					if err := p.store.InvalidateGroup(ctx, "g"); err != nil {
						t.Fatal(err)
					}
					if had, err := p.store.Has(ctx, p.store.Key("k", "g")); had || err != nil {
						t.Errorf("after InvalidateGroup what was stored is found: %v, %v", had, err)
					}
				}, 0, 0)
			})
		}
	}
}

// Two processes that replace what is no generation at the same time agree, and no invalidation is undone by that: no
// history in which a neighbour writes into the group's key has a value in it that was older than an invalidation.
func TestLaw2_GroupIDs(t *testing.T) {
	items := make([]engine.Item, 0, len(noGenerations))
	for _, item := range noGenerations {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b engine.Item) int { return strings.Compare(string(a.Value), string(b.Value)) })
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			h := &history{t: t, sea: newSea(seed), truth: 1}
			all := []*program{h.start(0, -1), h.start(0, 300*time.Millisecond), h.start(1, -1)}
			random := rand.New(rand.NewPCG(seed, 2))
			h.sea.run(func() {
				var clients sync.WaitGroup
				for n := range 6 {
					clients.Go(func() {
						for range 6 {
							all[n%len(all)].act()
						}
					})
				}
				clients.Go(func() {
					for range 20 {
						time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
						h.sea.mu.Lock()
						h.sea.put("_group::g", items[random.IntN(len(items))], cacheutils.Forever)
						h.sea.mu.Unlock()
					}
				})
				clients.Wait()
				time.Sleep(2 * time.Minute)
				before := all[0].runs() + all[1].runs()
				for range 5 {
					for _, p := range all[:2] {
						p.call("a call", func(ctx context.Context) Result { return p.store.Fetch(ctx, p.key(), p.task, p.compute(time.Hour)) })
					}
				}
				if n := all[0].runs() + all[1].runs() - before; n > 2 {
					t.Errorf("10 calls of two processes are %d computations", n)
				}
				for _, p := range all {
					p.store.Close()
				}
			})
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// Processes that replace it at the same time have one generation.
func TestGroupIDs_Agreed(t *testing.T) {
	for range 50 {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			h.sea.mu.Lock()
			h.sea.put("_group::g", noGenerations["a counter"], cacheutils.Forever)
			h.sea.mu.Unlock()
			got := make([]string, len(all))
			var processes sync.WaitGroup
			for i, p := range all {
				processes.Go(func() {
					if g, err := p.store.ensureGenerations(context.Background(), "", []string{"g"}); err != nil {
						t.Error(err)
					} else {
						got[i] = g[0].ID
					}
				})
			}
			processes.Wait()
			if now := string(h.sea.items["_group::g"].Value); got[0] != now || got[1] != now || got[2] != now {
				t.Errorf("the group has %s, and processes take it to have %s", now, got)
			}
		}, 0, 0, 0)
	}
}

// An entry whose groups are not what this library writes is damaged, and replaced.
func TestGroupIDs_InEntries(t *testing.T) {
	for name, groups := range map[string][]string{
		"no id":             {"g", ""},
		"an id too long":    {"g", strings.Repeat("x", 65)},
		"an id with spaces": {"g", "a b"},
		"a number as id":    {"g", "41"},
		"no name":           {"", "one"},
		"a name too long":   {strings.Repeat("n", 1025), "one"},
	} {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			p := all[0]
			for how, key := range map[string]Key{"unasked": p.store.Key("k"), "named": p.store.Key("in g", "g")} {
				before := p.runs()
				p.forge(key, forgery{groups: groups, body: p.body(t, 9)})
				h.sea.mu.Lock() // it doesn't count where the group's key holds the same either
				h.sea.put(p.store.groupKey(groups[0]), engine.Item{Value: []byte(groups[1]), Flags: 16}, cacheutils.Forever)
				h.sea.mu.Unlock()
				for n := range 2 {
					r := p.store.Fetch(context.Background(), key, p.task, p.takes(0, 1, time.Hour))
					if r.Err != nil || r.Value.(*firstVersion).N != 1 {
						t.Errorf("%s, %s: call %d gets %v, %v, want what was computed", name, how, n, r.Value, r.Err)
					}
				}
				if ran := p.runs() - before; ran != 1 {
					t.Errorf("%s, %s: %d computations, want one", name, how, ran)
				}
			}
		}, 0)
	}
}

// An entry in more groups than a reader has named, and 16 besides, makes nobody read all of them.
func TestGroupIDs_Unasked(t *testing.T) {
	for _, n := range []int{16, 17, 1000} {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			p := all[0]
			var groups []string
			for i := range n {
				group := fmt.Sprint("other", i)
				groups = append(groups, group, "one")
				h.sea.mu.Lock()
				h.sea.put("_group::"+group, engine.Item{Value: []byte("one"), Flags: 16}, cacheutils.Forever)
				h.sea.mu.Unlock()
			}
			key := p.store.Key("k")
			p.forge(key, forgery{groups: groups, body: p.body(t, 9)})
			want := 9
			if n > 16 {
				want = 1
			}
			asked := h.sea.reads()
			r := p.store.Fetch(context.Background(), key, p.task, p.takes(0, 1, time.Hour))
			if r.Err != nil || r.Value.(*firstVersion).N != want {
				t.Errorf("in %d groups: %v, %v, want %d", n, r.Value, r.Err, want)
			}
			if more := h.sea.reads() - asked; more > 20 {
				t.Errorf("in %d groups: %d keys were asked for", n, more)
			}
		}, 0)
	}
}

func (s *sea) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// The same on an engine that holds live values.
func TestGroupIDs_Live(t *testing.T) {
	ctx, c := context.Background(), leasing(t)
	noGenerations := maps.Clone(noGenerations)
	noGenerations["a live value"] = engine.Item{Live: new(string)}
	for name, item := range noGenerations {
		if err := c.Engine.Set(ctx, c.groupKey("g"), item, cacheutils.Forever); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(ctx, c.Key("k", "g"), "v", time.Hour); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, groups := range [][]string{nil, {"g"}} {
			if had, err := c.Has(ctx, c.Key("k", groups...)); !had || err != nil {
				t.Errorf("%s: what was stored is not found in %q: %v, %v", name, groups, had, err)
			}
		}
		if err := c.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		if had, err := c.Has(ctx, c.Key("k", "g")); had || err != nil {
			t.Errorf("%s: what was invalidated is found: %v, %v", name, had, err)
		}
	}
}
