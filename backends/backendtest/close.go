package backendtest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// useAfterClose wants an engine that was closed to stay so, and to leave alone what is in its store.
func (s *suite) useAfterClose(t *testing.T) {
	const key = ":1:key"
	other, e := s.emptied(t), s.engine(t)
	must(t, e.Set(ctx, key, number(1), time.Hour))
	for range 2 {
		must(t, e.Close())
	}
	for range 2 { // in the second round all that could open something was called
		for name, call := range operations(e, key) {
			if err := call(ctx); !errors.Is(err, cacheutils.ErrClosed) {
				t.Errorf("%s after Close: got error %v, want ErrClosed", name, err)
			}
		}
		optionalAfterClose(t, e, key)
	}
	must(t, e.Close())
	wantItem(t, other, key, number(1))
	wantNone(t, other, ":1:new")
}

// optionalAfterClose is about the methods that an engine may have.
func optionalAfterClose(t *testing.T, e engine.Engine, key string) {
	if each, ok := engine.As[engine.EachGetter](e); ok {
		err := each.GetEach(ctx, []string{key}, func(int, engine.Item) { t.Error("GetEach after Close: got an item") })
		if !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("GetEach after Close: got error %v, want ErrClosed", err)
		}
	}
	if referrer, ok := engine.As[engine.Referrer](e); ok {
		if ref := referrer.Ref(key); ref != nil {
			t.Errorf("Ref after Close: got one to %v, want nil", ref.Item())
		}
	}
	if swapper, ok := engine.As[engine.LiveSwapper](e); ok {
		_, err := swapper.SwapLive(ctx, key, new(int), number(2), time.Hour)
		if !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("SwapLive after Close: got error %v, want ErrClosed", err)
		}
	}
	if r, ok := engine.As[engine.Replayer](e); ok && r.ReplayDelete(key) {
		t.Error("ReplayDelete after Close: got true, want false")
	}
	if p, ok := engine.As[engine.Peeker](e); ok {
		if _, err := p.Peek(ctx, key); !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("Peek after Close: got %v, want ErrClosed", err)
		}
	}
	if store, ok := engine.As[engine.InfoEngine](e); ok {
		if _, err := store.Info(ctx); !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("Info after Close: got %v, want ErrClosed", err)
		}
	}
	if servers, ok := engine.As[engine.ServerEngine](e); ok {
		for address, err := range servers.Ping(ctx) {
			if !errors.Is(err, cacheutils.ErrClosed) {
				t.Errorf("Ping after Close: got error %v for %s, want ErrClosed", err, address)
			}
		}
		for _, server := range servers.Servers() {
			if server.Open != 0 || server.Queued != 0 {
				t.Errorf("Servers after Close: got %+v, want no connection and nothing queued", server)
			}
		}
	}
}

// closeWhileInUse wants operations that are under way when the engine is closed to end as ever, or
// with ErrClosed.
func (s *suite) closeWhileInUse(t *testing.T) {
	for range 10 {
		e := s.emptied(t)
		untilClosed(t, e.Close, func() error {
			for name, call := range operations(e, ":1:key") {
				if err := call(ctx); endsAsEver(t, name, err) != nil {
					return err
				}
			}
			return nil
		})
	}
}

// untilClosed closes while several goroutines use what is closed, each until it is told so.
func untilClosed(t *testing.T, closeIt, use func() error) {
	t.Helper()
	const users = 8
	inUse := make(chan struct{})
	together(users+1, func(i int) {
		if i == users {
			<-inUse
			if err := closeIt(); err != nil {
				t.Errorf("Close: got error %v", err)
			}
			return
		}
		begin := sync.OnceFunc(func() {
			if i == 0 {
				close(inUse)
			}
		})
		defer begin()
		for end := time.Now().Add(patience); time.Now().Before(end); {
			for range 5 {
				if use() != nil {
					return
				}
			}
			begin()
		}
		t.Errorf("never got ErrClosed, %v after Close", patience)
	})
	if t.Failed() {
		t.FailNow() // once is slow enough
	}
}

// endsAsEver returns err if it is ErrClosed, and allows no other error but those of a missing key.
func endsAsEver(t *testing.T, name string, err error) error {
	t.Helper()
	switch {
	case errors.Is(err, cacheutils.ErrClosed):
		return err
	case err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) && !errors.Is(err, cacheutils.ErrNotNumber):
		t.Errorf("%s while it is closed: got error %v, want ErrClosed or none", name, err)
	}
	return nil
}

// testClose is about caches that were closed: they stay so, and callers have to get the new one.
func (s *suite) testClose(t *testing.T) {
	t.Run("UseAfterClose", s.useCacheAfterClose)
	t.Run("CloseWhileInUse", s.closeCacheWhileInUse)
	t.Run("ConfigureAgain", func(t *testing.T) {
		old := s.only(t)
		old.set("key", "before")
		again := s.only(t)
		again.misses("key")
		again.set("key", "after")
		again.holds("key", "after")
		old.fails(old.Set(ctx, "key", "of the old cache"), cacheutils.ErrClosed)
		old.fails(old.Get(ctx, "key", new(string)), cacheutils.ErrClosed)
		old.fails(old.Clear(ctx), cacheutils.ErrClosed)
		again.holds("key", "after")
		old.ok(old.Close())
	})
}

func (s *suite) useCacheAfterClose(t *testing.T) {
	c, other := s.only(t), s.engine(t)
	must(t, other.Set(ctx, ":1:other", text("as it was"), time.Hour))
	c.set("key", 1)
	for range 2 {
		c.ok(c.Close())
	}
	for range 2 {
		for _, m := range methods {
			if err := m.call(ctx, c, "key"); !errors.Is(err, cacheutils.ErrClosed) {
				t.Errorf("%s after Close: got error %v, want ErrClosed", m.name, err)
			}
		}
		c.fails(c.Clear(ctx), cacheutils.ErrClosed)
		if err := c.InvalidateGroup(ctx, "group"); !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("InvalidateGroup after Close: got error %v, want ErrClosed", err)
		}
		if err := c.Ping(ctx); len(c.Servers()) > 0 && !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("Ping after Close: got error %v, want ErrClosed", err)
		}
	}
	c.ok(c.Close())
	wantItem(t, other, ":1:other", text("as it was"))
}

func (s *suite) closeCacheWhileInUse(t *testing.T) {
	for range 10 {
		c := s.only(t)
		untilClosed(t, c.Close, func() error {
			for _, m := range methods {
				if err := m.call(ctx, c, "key"); endsAsEver(t, m.name, err) != nil {
					return err
				}
			}
			return nil
		})
	}
}
