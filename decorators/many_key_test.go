package decorators_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type texter struct{ a, b int }

func (x *texter) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", x.a, x.b), nil }

func (x *texter) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "%d/%d", &x.a, &x.b)
	return err
}

type embedder struct {
	texter
	N int
}

// A key is the same text for each way to decorate the function.
func sameKeys[K comparable](t *testing.T, keys ...K) {
	t.Helper()
	ctx := context.Background()
	opts := []decorators.Option{decorators.Key("same"), decorators.Ignore[uint8]()}
	_, many := decorators.CachedMany(namedByKey(func(context.Context, []K) (map[K]int, error) { return nil, nil }), decorators.Key("same"))
	_, one := decorators.Cached1(namedByKey(func(context.Context, K) (int, error) { return 0, nil }), decorators.Key("same"))
	_, two := decorators.Cached2(namedByKey(func(context.Context, uint8, K) (int, error) { return 0, nil }), opts...)
	_, three := decorators.Cached3(namedByKey(func(context.Context, uint8, K, uint8) (int, error) { return 0, nil }), opts...)
	_, reflected := decorators.Cached(namedByKey(func(context.Context, K) (int, error) { return 0, nil }), decorators.Key("same"))
	for _, key := range keys {
		want, err := reflected.CacheKey(ctx, key)
		if err != nil {
			t.Error(err)
		}
		for how, make := range map[string]func() (string, error){
			"CachedMany": func() (string, error) { return many.CacheKey(key) },
			"Cached1":    func() (string, error) { return one.CacheKey(key) },
			"Cached2":    func() (string, error) { return two.CacheKey(1, key) },
			"Cached3":    func() (string, error) { return three.CacheKey(1, key, 2) },
			"nil context": func() (string, error) {
				var none context.Context
				return reflected.CacheKey(none, key)
			},
		} {
			if got, err := make(); got != want || err != nil {
				t.Errorf("%T(%v): %s gives %s, %v, want %s", key, key, how, got, err, want)
			}
		}
	}
}

func TestLaw3_CachedMany(t *testing.T) {
	cachetest.Locmem(t)
	n := 5
	at := time.Unix(5, 0).UTC()
	sameKeys[any](t, nil, 1, int64(1), "a b", texter{1, 2}, &texter{1, 2}, (*texter)(nil), embedder{texter{1, 2}, 3},
		math.NaN(), float32(0.1), complex64(1), [2]any{1, "b"}, &n, at, time.UTC, time.Second, struct{}{})
	sameKeys(t, texter{1, 2})
	sameKeys(t, &texter{1, 2}, nil)
	sameKeys(t, embedder{texter{1, 2}, 3})
	sameKeys(t, math.NaN(), 0, math.Copysign(0, -1))
	sameKeys(t, time.Second)
	sameKeys(t, "it's \"x\" \xff \u00a0")
	sameKeys[fmt.Stringer](t, nil, time.Second, at)
	sameKeys(t, [3]byte{1, 2, 200})
	sameKeys(t, [2]texter{{1, 2}, {3, 4}})
	sameKeys(t, struct {
		A any
		B *int
		c [2]string
	}{A: texter{1, 2}, B: &n, c: [2]string{"x", " "}})
	sameKeys(t, at, time.Time{})
	sameKeys(t, struct{}{})
}
