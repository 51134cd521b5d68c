package decorators

import (
	"context"
	"errors"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A backend may be named before it is configured, and is looked up again after a Configure.
func TestBackendByName(t *testing.T) {
	b := backend{name: "later"}
	if _, err := b.store(context.Background()); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("before Configure: got error %v, want ErrUnknownBackend", err)
	}
	for range 2 {
		cachetest.Configure(t, backends.Config{"later": {Backend: "locmem"}})
		want, _ := backends.Default().Store("later", store.Caller{})
		if got, err := b.store(context.Background()); err != nil || got != want {
			t.Errorf("got %p, %v, want what Store returns", got, err)
		}
	}
	cachetest.Configure(t, nil)
	if _, err := b.store(context.Background()); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("after the backend is gone: got error %v, want ErrUnknownBackend", err)
	}
}
