package dummy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/dummy"
	"github.com/cacheutils/cacheutils/engine"
)

// Everything is accepted and nothing is found.
func TestDummy(t *testing.T) {
	ctx := context.Background()
	e, err := dummy.Open(engine.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	item := engine.Item{Value: []byte("v")}
	for range 2 {
		if err := e.Set(ctx, "k", item, time.Minute); err != nil {
			t.Errorf("Set: %v", err)
		}
		if ok, err := e.Add(ctx, "k", item, time.Minute); !ok || err != nil {
			t.Errorf("Add: %v, %v", ok, err)
		}
		if _, err := e.Get(ctx, "k"); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("Get: %v", err)
		}
		if got, err := e.GetMany(ctx, []string{"k"}); got == nil || len(got) > 0 || err != nil {
			t.Errorf("GetMany: %v, %v", got, err)
		}
		if _, err := e.Incr(ctx, "k", 1); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("Incr: %v", err)
		}
		if ok, err := e.Delete(ctx, "k"); ok || err != nil {
			t.Errorf("Delete: %v, %v", ok, err)
		}
		if ok, err := e.CompareAndSwap(ctx, "k", item, time.Minute); ok || err != nil {
			t.Errorf("CompareAndSwap: %v, %v", ok, err)
		}
		if err := e.Clear(ctx, ""); err != nil {
			t.Errorf("Clear: %v", err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Get(ended, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get with an ended context: %v", err)
	}
}

func TestClose(t *testing.T) {
	ctx := context.Background()
	e, err := dummy.Open(engine.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	item := engine.Item{Value: []byte("v")}
	for name, call := range map[string]func() error{
		"Get":            func() error { _, err := e.Get(ctx, "k"); return err },
		"GetMany":        func() error { _, err := e.GetMany(ctx, []string{"k"}); return err },
		"Set":            func() error { return e.Set(ctx, "k", item, time.Minute) },
		"Add":            func() error { _, err := e.Add(ctx, "k", item, time.Minute); return err },
		"CompareAndSwap": func() error { _, err := e.CompareAndSwap(ctx, "k", item, time.Minute); return err },
		"Delete":         func() error { _, err := e.Delete(ctx, "k"); return err },
		"Incr":           func() error { _, err := e.Incr(ctx, "k", 1); return err },
		"Clear":          func() error { return e.Clear(ctx, "") },
	} {
		if err := call(); !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	for text, s := range map[string]engine.Settings{
		"location": {Location: []string{"here"}},
		"timeout":  {Options: map[string]any{"timeout": 1}},
	} {
		if _, err := dummy.Open(s); !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
