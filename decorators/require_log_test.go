package decorators_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// A lines sink keeps what is logged, with the level, from least on.
type lines struct {
	least logging.Level
	mu    sync.Mutex
	list  []string
}

func (l *lines) Enabled(level logging.Level) bool { return level >= l.least }

func (l *lines) Log(level logging.Level, e logging.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, fmt.Sprint(level, " ", e.Message()))
}

func (l *lines) taken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// RequireCache logs the lines of the original, at its levels.
func TestRequireCacheIsLogged(t *testing.T) {
	const debug, info = logging.LevelDebug, logging.LevelInfo
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
	ctx := context.Background()
	_, one := decorators.Cached(func(ctx context.Context, n int) (int, error) { return n, nil }, decorators.Key("one"))
	_, two := decorators.Cached2(func(ctx context.Context, n int, s string) (int, error) { return n, nil }, decorators.Key("two"))
	_, many := decorators.CachedMany(func(ctx context.Context, n []int) (map[int]int, error) { return nil, nil }, decorators.Key("many"))
	sink := &lines{}
	logging.SetSink(sink)
	defer logging.SetSink(nil)
	for _, test := range []struct {
		name            string
		require, store  func() error
		missing, stored []string
	}{
		{
			"Cached",
			func() error { _, err := one.RequireCache(ctx, 1); return err },
			func() error { return one.Set([]any{ctx, 1}, 1) },
			[]string{
				fmt.Sprint(debug, " Require cache [cached]one((1,))"), fmt.Sprint(debug, " Cache MISS: [cached]one((1,))"),
				fmt.Sprint(info, " Could not find required cache [cached]one((1,))"),
			},
			[]string{fmt.Sprint(debug, " Require cache [cached]one((1,))"), fmt.Sprint(debug, " Cache HIT: [cached]one((1,))")},
		},
		{
			"Cached2",
			func() error { _, err := two.RequireCache(ctx, 1, "it"); return err },
			func() error { return two.Set(ctx, 1, "it", 1) },
			[]string{
				fmt.Sprint(debug, " Require cache [cached]two((1,'it'))"), fmt.Sprint(debug, " Cache MISS: [cached]two((1,'it'))"),
				fmt.Sprint(info, " Could not find required cache [cached]two((1,'it'))"),
			},
			[]string{fmt.Sprint(debug, " Require cache [cached]two((1,'it'))"), fmt.Sprint(debug, " Cache HIT: [cached]two((1,'it'))")},
		},
		{
			"CachedMany",
			func() error { _, err := many.RequireCache(ctx, []int{1}); return err },
			func() error { return many.Set(ctx, map[int]int{1: 1}) },
			[]string{
				fmt.Sprint(debug, " Require cache [cached]many((1,))"),
				fmt.Sprint(info, " Could not find required cache [cached]many((1,))"),
			},
			[]string{fmt.Sprint(debug, " Require cache [cached]many((1,))"), fmt.Sprint(debug, " Cache HIT: [cached]many((1,))")},
		},
	} {
		sink.taken()
		if err := test.require(); err == nil {
			t.Errorf("%s: found something", test.name)
		}
		if diff := cmp.Diff(test.missing, sink.taken()); diff != "" {
			t.Errorf("%s, nothing is there: (-want +got)\n%s", test.name, diff)
		}
		if err := test.store(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		sink.taken()
		if err := test.require(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.stored, sink.taken()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}

	sink.least = info
	if _, err := many.RequireCache(ctx, []int{1, 2, 3}); err == nil {
		t.Error("found what is not there")
	}
	got := sink.taken()
	slices.Sort(got)
	want := []string{fmt.Sprint(info, " Could not find required cache [cached]many((2,))"), fmt.Sprint(info, " Could not find required cache [cached]many((3,))")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("at info: (-want +got)\n%s", diff)
	}
}
