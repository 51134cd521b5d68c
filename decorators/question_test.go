package decorators_test

import (
	"context"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/fivequestions"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// What may go wrong while a value is computed: the questions that bench/cmd/questions puts to others.
func TestFiveQuestions(t *testing.T) {
	for _, engine := range []string{"locmem", "memcached", "group"} {
		t.Run(engine, func(t *testing.T) {
			settings := backends.Settings{Backend: engine, Location: []string{t.Name()}}
			if engine != "locmem" {
				settings.Location = []string{memcachedtest.Start(t).Addr()}
			}
			cachetest.Configure(t, backends.Config{"default": settings})
			for _, q := range fivequestions.Questions {
				t.Run(q.Name, func(t *testing.T) {
					t.Parallel()
					if got := q.Ask(newQuestioned(engine + q.Name)); got != fivequestions.OK {
						t.Errorf("%s: %s, want ok", q.Text, got)
					}
				})
			}
		})
	}
}

// questioned is a decorated function as the questions want it.
type questioned struct {
	fivequestions.Loads
	f func(context.Context, string) (string, error)
	h *decorators.Handle[func(context.Context, string) (string, error)]
}

func newQuestioned(name string) *questioned {
	q := &questioned{}
	q.f, q.h = decorators.Cached(q.Run, decorators.Key("questions "+name))
	return q
}

func (q *questioned) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	q.Set(key, compute)
	return q.f(ctx, key)
}

func (q *questioned) Invalidate(ctx context.Context, key string) error {
	return q.h.Invalidate(ctx, key)
}
