package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/engine"
)

// A listing engine notes the keys that it is asked for at once, and has no answer for one of them.
type listing struct {
	*sea
	lookups [][]string
	without string
}

var errNoAnswer = errors.New("no answer")

func (l *listing) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	l.lookups = append(l.lookups, slices.Clone(keys))
	items, err := l.sea.GetMany(ctx, keys)
	if slices.Contains(keys, l.without) {
		delete(items, l.without)
		err = errors.Join(err, errNoAnswer)
	}
	return items, err
}

func (l *listing) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if key == l.without {
		return false, errNoAnswer
	}
	return l.sea.Add(ctx, key, item, timeout)
}

// Several keys are set after one lookup of all their groups, each once; the timeouts are asked for in the order of the keys.
func TestSetAll(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p, asked, ctx := all[0], &listing{sea: h.sea}, context.Background()
		p.store.Engine = asked
		shared := p.store.Groups("odd", "all")
		keys := []Key{p.store.Key("c", "odd", "all"), p.store.Key("d"), p.store.Key("b", "even", "all"), p.store.Key("a"), p.store.Key("e", "odd", "all")}
		keys[3].groups, keys[3].in = shared.names, shared
		for what, set := range map[string]func() error{
			"PutMany": func() error {
				var order []int
				err := p.store.PutMany(ctx, keys, p.task, func(i int) any { return p.value(i + 1) }, func(i int) time.Duration {
					order = append(order, i)
					return time.Duration(i) * time.Hour // the first one is deleted
				})
				if diff := cmp.Diff([]int{3, 2, 0, 1, 4}, order); diff != "" {
					t.Errorf("the order of timeouts: %s", diff)
				}
				return err
			},
			"SetMany": func() error {
				return errors.Join(p.store.SetMany(ctx, keys, func(i int) any { return *p.value(i + 1).(*firstVersion) }, time.Hour)...)
			},
		} {
			for _, given := range []string{"groups without generations", "groups with generations"} {
				asked.lookups = nil
				if err := set(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				want := [][]string{{p.store.groupKey("all"), p.store.groupKey("even"), p.store.groupKey("odd")}}
				if diff := cmp.Diff(want, asked.lookups); diff != "" {
					t.Errorf("%s of %s: lookups: %s", what, given, diff)
				}
				for i := range keys {
					var got firstVersion
					err := p.store.Get(ctx, keys[i], &got)
					if i == 0 && what == "PutMany" {
						if err == nil {
							t.Errorf("%s: what has no timeout is there", what)
						}
					} else if err != nil || got.N != i+1 {
						t.Errorf("%s: under key %d there is %v, %v", what, i, got, err)
					}
				}
			}
			if err := p.store.InvalidateGroup(ctx, "odd"); err != nil {
				t.Fatal(err)
			}
			for i, in := range []bool{true, false, false, true, true} {
				if there, err := p.store.Has(ctx, keys[i]); err != nil || there == in {
					t.Errorf("%s: key %d is there: %v, %v; it was in the group that was invalidated: %v", what, i, there, err, in)
				}
			}
			if err := p.store.Clear(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}, 0)
}

// A key with a group that can't be read has the error, and the others are set.
func TestSetAll_Fault(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p, ctx := all[0], context.Background()
		p.store.Engine = &listing{sea: h.sea, without: p.store.groupKey("odd")}
		keys := []Key{p.store.Key("a", "odd", "all"), p.store.Key("b", "even", "all"), p.store.Key("c")}
		errs := p.store.SetMany(ctx, keys, func(i int) any { return i }, time.Hour)
		if !errors.Is(errs[0], errNoAnswer) || errs[1] != nil || errs[2] != nil {
			t.Errorf("the errors are %v", errs)
		}
		p.store.Engine = h.sea
		for i, want := range []bool{false, true, true} {
			if there, err := p.store.Has(ctx, keys[i]); err != nil || there != want {
				t.Errorf("key %d is there: %v, %v; want %v", i, there, err, want)
			}
		}
	}, 0)
}
