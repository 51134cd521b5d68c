package decorators_test

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

type (
	// shared is tiny in memory, and has 2^n nodes where each pointer is followed.
	shared struct{ L, R *shared }

	// attempts counts how often somebody tries to encode it.
	attempts struct{ n *atomic.Int64 }
)

func (a attempts) MarshalBinary() ([]byte, error) {
	a.n.Add(1)
	return nil, errors.New("it can't be marshaled")
}

func (*attempts) UnmarshalBinary([]byte) error { return nil }

func newShared(n int) *shared {
	s := new(shared)
	for range n {
		s = &shared{s, s}
	}
	return s
}

func eachStore(t *testing.T, options map[string]any, test func(t *testing.T, set *backends.Caches)) {
	t.Run("locmem", func(t *testing.T) {
		test(t, newSet(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}}))
	})
	t.Run("memcached", func(t *testing.T) {
		server := memcachedtest.Start(t)
		test(t, newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: options}}))
	})
}

// A result that can't be stored is no fault of the server, and counts as what it is.
func TestUnstorable(t *testing.T) {
	eachStore(t, nil, func(t *testing.T, set *backends.Caches) {
		link, err := url.Parse("http://host/path?")
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]any{
			"regexp":    regexp.MustCompilePOSIX("a+"),
			"url":       &url.URL{Host: "h", Path: "relative"},
			"error":     struct{ V any }{errors.New("e")},
			"error key": map[any]int{&struct{}{}: 1},
		} {
			f, h := decorators.Cached1(func(context.Context, int) (any, error) { return value, nil }, decorators.Key("unstorable."+name), decorators.On(set))
			for range 3 {
				if _, err := f(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			if s := h.Stats(); s.Unstorable != 3 || s.Errors != 0 || s.Stores != 0 || s.Computations != 3 {
				t.Errorf("%s: got %+v, want 3 unstorable results, and no errors", name, s)
			}
		}
		f, h := decorators.Cached1(func(context.Context, int) (*url.URL, error) { return link, nil }, decorators.Key("unstorable.not"), decorators.On(set))
		for range 3 {
			got(t, "url", link)(f(t.Context(), 1))
		}
		if s := h.Stats(); s.Unstorable != 0 || s.Hits != 2 {
			t.Errorf("got %+v, want hits", s)
		}
	})
}

// So does one that is too large for the server.
func TestUnstorable_TooLarge(t *testing.T) {
	server := memcachedtest.Start(t)
	set := newSet(t, backends.Config{"default": {
		Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"max_item_size": 100_000, "compress_above": -1},
	}})
	f, h := decorators.Cached1(func(context.Context, int) (string, error) { return strings.Repeat("x", 200_000), nil },
		decorators.Key("unstorable.large"), decorators.On(set))
	if _, err := f(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Unstorable != 1 || s.Errors != 0 {
		t.Errorf("got %+v, want one unstorable result", s)
	}
}

// What it costs to find that a value can't be encoded is paid once for many calls.
func TestUnstorable_CostlyOnesAreNotEncodedAtEachCall(t *testing.T) {
	eachStore(t, nil, func(t *testing.T, set *backends.Caches) {
		var tried atomic.Int64
		f, h := decorators.Cached1(func(_ context.Context, id int) ([]any, error) {
			return []any{newShared(18), attempts{&tried}}, nil
		}, decorators.Key("unstorable.costly"), decorators.On(set))
		const calls = 20
		for id := range calls {
			if v, err := f(t.Context(), id/2); err != nil || len(v) != 2 {
				t.Fatal(v, err)
			}
		}
		if s := h.Stats(); s.Unstorable != calls || s.Errors != 0 || s.Computations != calls {
			t.Errorf("got %+v, want %d unstorable results", s, calls)
		}
		if n := tried.Load(); n != 1 {
			t.Errorf("%d results of %d were encoded, want 1", n, calls)
		}
		// What costs little to refuse is tried each time: the next result may be another.
		cheap, _ := decorators.Cached1(func(_ context.Context, id int) ([]any, error) {
			if id == 0 {
				return []any{attempts{&tried}}, nil
			}
			return []any{id}, nil
		}, decorators.Key("unstorable.cheap"), decorators.On(set))
		for _, id := range []int{0, 0, 1, 1} {
			if _, err := cheap(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if n := tried.Load(); n != 3 {
			t.Errorf("tried %d times, want 3", n)
		}
	})
}
