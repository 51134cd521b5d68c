package seen

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Info is what the engine knows, through what is around it. One that doesn't know says so.
func TestInfo(t *testing.T) {
	ctx := context.Background()
	set, err := backends.New(backends.Config{
		"locmem":    {Backend: "locmem", Options: map[string]any{"max_entries": 1000}},
		"sealed":    {Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"secret": "a secret that is long enough"}},
		"wrapped":   {Open: func(s engine.Settings) (engine.Engine, error) { e, err := locmem.Open(s); return unwrapped{e}, err }},
		"memcached": memcached(memcachedtest.Start(t)),
		"dummy":     {Backend: "dummy"},
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string) *backends.Cache { return must[*backends.Cache](t)(set.Get(name)) }
	for _, name := range []string{"locmem", "sealed", "wrapped"} {
		c := get(name)
		before := must[backends.Info](t)(c.Info(ctx))
		if err := c.Set(ctx, "k of "+name, "a value"); err != nil {
			t.Fatal(err)
		}
		after := must[backends.Info](t)(c.Info(ctx))
		if after.Entries != before.Entries+1 || after.Bytes < before.Bytes+int64(len("a value")) || after.MaxEntries == 0 || after.MaxBytes == 0 {
			t.Errorf("%s: got %+v and then %+v", name, before, after)
		}
	}
	for _, name := range []string{"memcached", "dummy"} {
		if _, err := get(name).Info(ctx); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := get("locmem").Info(ctx); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
}

type unwrapped struct{ engine.Engine }

func (u unwrapped) Unwrap() engine.Engine { return u.Engine }
