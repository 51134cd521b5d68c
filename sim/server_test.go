package sim

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// A server is a store of items. It is used by the scheduler alone.
type server struct {
	name  string
	items map[string]item
	cas   uint64
	away  time.Time // until then it refuses everything
	bit   uint8     // that stands for it

	frozen   time.Time       // until then it does nothing
	snapshot map[string]item // what it had once

	// Of a server that is reached by connections.
	dialled  int        // so far
	sessions []*session // that are open
}

func newServer(name string) *server { return &server{name: name, items: make(map[string]item)} }

type item struct {
	engine.Item
	ends time.Time
}

func (s *server) keys() []string { return slices.Sorted(maps.Keys(s.items)) }

func (s *server) get(key string) (item, bool) {
	i, ok := s.items[key]
	if ok && !time.Now().Before(i.ends) {
		delete(s.items, key)
		return item{}, false
	}
	return i, ok
}

func (s *server) put(key string, i engine.Item, timeout time.Duration) {
	s.cas++
	i.CAS = s.cas
	ends := time.Now().Add(timeout)
	if timeout == cacheutils.Forever {
		ends = time.Now().AddDate(100, 0, 0)
	}
	s.items[strings.Clone(key)] = item{i, ends}
}

// A connection is the engine of one process: what it asks for goes to the servers by way of the scheduler.
type connection struct {
	w   *world
	p   *process
	set int // of the process
}

// An eachConnection has the optional part for multi-gets.
type eachConnection struct{ connection }

func (c connection) Traits() engine.Traits { return engine.Traits{ClearsAll: true} }

func (c connection) of(key string) *server {
	h := fnv.New32a()
	h.Write([]byte(key))
	return c.w.servers[int(h.Sum32())%len(c.w.servers)]
}

// request is world.request for the connection.
func (c connection) request(ctx context.Context, at uint8, verb, object string, item []byte, effect func() error) error {
	return c.w.request(ctx, c.p, c.set, at, verb, object, item, effect)
}

// at has do happen on the server of the key.
func (c connection) at(ctx context.Context, verb, key string, item []byte, do func(s *server) error) error {
	key = strings.Clone(key) // which may be another text once the caller has left
	s := c.of(key)
	return c.request(ctx, s.bit, verb, key, item, func() error {
		if time.Now().Before(s.away) {
			return errFault
		}
		return do(s)
	})
}

func (c connection) Get(ctx context.Context, key string) (engine.Item, error) {
	var found engine.Item // and no result of the function: after an error it may be written yet
	err := c.at(ctx, "get", key, nil, func(s *server) error {
		i, ok := s.get(key)
		if !ok {
			return cacheutils.ErrCacheMiss
		}
		found = i.Item
		return nil
	})
	if err != nil {
		return engine.Item{}, err
	}
	return found, nil
}

func (c connection) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	text := strings.Join(keys, " ")
	keys = strings.Split(text, " ") // those that the caller had
	found := make(map[string]engine.Item)
	var away error
	at := uint8(0)
	for _, key := range keys {
		at |= c.of(key).bit
	}
	err := c.request(ctx, at, "getmany", text, nil, func() error {
		for _, key := range keys {
			s := c.of(key)
			if time.Now().Before(s.away) {
				away = errFault
			} else if i, ok := s.get(key); ok {
				found[key] = i.Item
			}
		}
		return nil
	})
	if err != nil { // it may be carried out yet
		return nil, err
	}
	return found, away
}

func (c eachConnection) GetEach(ctx context.Context, keys []string, each func(int, engine.Item)) error {
	found, err := c.GetMany(ctx, keys)
	for i, key := range keys {
		if item, ok := found[key]; ok {
			each(i, item)
		}
	}
	return err
}

func (c connection) Set(ctx context.Context, key string, i engine.Item, timeout time.Duration) error {
	return c.at(ctx, "set", key, i.Value, func(s *server) error {
		s.put(key, i, timeout)
		return nil
	})
}

// store is Add and CompareAndSwap: it stores if what is there allows it.
func (c connection) store(ctx context.Context, verb, key string, i engine.Item, timeout time.Duration, may func(is item, there bool) bool) (bool, error) {
	stored := false
	err := c.at(ctx, verb, key, i.Value, func(s *server) error {
		if stored = may(s.get(key)); stored {
			s.put(key, i, timeout)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return stored, nil
}

func (c connection) Add(ctx context.Context, key string, i engine.Item, timeout time.Duration) (bool, error) {
	return c.store(ctx, "add", key, i, timeout, func(_ item, there bool) bool { return !there })
}

func (c connection) CompareAndSwap(ctx context.Context, key string, i engine.Item, timeout time.Duration) (bool, error) {
	return c.store(ctx, "cas", key, i, timeout, func(is item, there bool) bool { return there && is.CAS == i.CAS })
}

func (c connection) Delete(ctx context.Context, key string) (bool, error) {
	there := false
	err := c.at(ctx, "delete", key, nil, func(s *server) error {
		_, there = s.get(key)
		delete(s.items, key)
		return nil
	})
	if err != nil {
		return false, err
	}
	return there, nil
}

func (c connection) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	var sum int64
	err := c.at(ctx, "incr", key, nil, func(s *server) error {
		i, ok := s.get(key)
		if !ok {
			return cacheutils.ErrCacheMiss
		}
		n, err := strconv.ParseInt(string(i.Value), 10, 64)
		if err != nil {
			return cacheutils.ErrNotNumber
		}
		sum = n + delta
		i.Value = strconv.AppendInt(nil, sum, 10)
		s.cas++
		i.CAS = s.cas
		s.items[key] = i
		return nil
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

func (c connection) Clear(ctx context.Context, _ string) error {
	at := uint8(0)
	for _, s := range c.w.servers {
		at |= s.bit
	}
	return c.request(ctx, at, "clear", "", nil, func() error {
		for _, s := range c.w.servers {
			if time.Now().Before(s.away) {
				return errFault
			}
		}
		for _, s := range c.w.servers {
			clear(s.items)
		}
		return nil
	})
}

func (c connection) Close() error { return nil }
