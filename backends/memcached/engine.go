// Package memcached is a cache on memcached servers, by way of gomemcache.
//
// A location is a server: "host", "host:port", "[::1]:11211", "unix:/path" or "/path"; the
// port is 11211 unless given, and without a location the server is 127.0.0.1:11211. With
// several locations the keys are spread over them. Servers are dialled when they are first
// needed, and their names are resolved at each dial.
//
// The options are
//
//	socket_timeout  how long an operation may take, waiting and dialling included; 250ms unless
//	                given. A reply gets it once more for every 256 KiB that have arrived.
//	max_conns       how many connections to each server may be open; 64 unless given. Further
//	                callers wait for one.
//	max_idle_conns  how many of them stay open when nobody needs them; 64 unless given
//	max_item_size   the size of the largest item that is sent, in bytes, its key and memcached's
//	                header included; 1 MiB unless given, as in memcached (its option -I). A
//	                larger value that another program stored is not read: getting it is an error.
//	no_delay        whether to send small packets at once; true unless given
//
// What is particular to memcached:
//
//   - Timeouts are whole seconds, rounded up. Memcached's clock ticks once a second, so that
//     an entry may end up to a second early. One that would end after January 2038 ends then.
//   - Keys have 1 to 250 bytes and no spaces or control characters: see CheckKey.
//   - Numbers are unsigned in memcached. A decrement stops at 0, and a negative number can't
//     be incremented (cacheutils.ErrNotNumber). A sum above the largest int64 is also
//     cacheutils.ErrNotNumber, but the server then has that sum.
//   - Clear empties the servers: with flush_all, entries of every prefix and every program
//     that uses them are gone.
package memcached

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/backends/engine"
	"github.com/cacheutils/cacheutils/internal/options"
)

const (
	defaultSocketTimeout = 250 * time.Millisecond
	defaultMaxConns      = 64
	defaultMaxItemSize   = 1 << 20
)

// memcached is an engine.
type memcached struct {
	servers servers // by place: a key's server is servers.of(key)
}

// Open returns an engine on the servers that s.Location names. It implements
// engine.KeyChecker. It doesn't look whether the servers are there: one that is down, or
// whose name can't be resolved, is an error of the operations that need it, while the other
// servers work. A wrong location or option is an error that matches cacheutils.ErrConfig.
func Open(s engine.Settings) (engine.Engine, error) {
	r := options.Read("memcached", s.Options)
	timeout := r.Duration("socket_timeout", defaultSocketTimeout)
	maxConns := r.Positive("max_conns", defaultMaxConns)
	maxIdle := r.Positive("max_idle_conns", defaultMaxConns)
	maxItemSize := r.Positive("max_item_size", defaultMaxItemSize)
	noDelay := r.Bool("no_delay", true)
	errs := []error{r.Err()}

	locations := s.Location
	if len(locations) == 0 {
		locations = []string{defaultHost}
	}
	m := &memcached{}
	byAddress := map[address]*server{}
	for _, location := range locations {
		a, err := parseLocation(location)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		one := byAddress[a]
		if one == nil {
			one = &server{
				address: a, timeout: timeout, maxIdle: maxIdle, maxItemSize: maxItemSize, noDelay: noDelay,
				slots: make(chan struct{}, maxConns),
			}
			one.tooLarge.Store(int64(maxItemSize) + 1)
			byAddress[a] = one
		}
		m.servers = append(m.servers, one)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// Close closes the connections: idle ones now, those in use when their operations end.
// Nothing else is left of the engine; its operations run on the goroutines of their callers.
func (m *memcached) Close() error {
	for _, s := range m.servers.distinct() {
		s.close()
	}
	return nil
}

// onEach runs f for each of the servers at once and returns all errors.
func onEach[K any](work map[*server]K, f func(*server, K) error) error {
	if len(work) == 1 {
		for s, k := range work {
			return f(s, k)
		}
	}
	results := make(chan error, len(work))
	for s, k := range work {
		go func() { results <- f(s, k) }()
	}
	var errs []error
	for range work {
		if err := <-results; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Clear empties the servers, other prefixes and other programs' entries included.
func (m *memcached) Clear(ctx context.Context) error {
	work := make(map[*server]struct{}, len(m.servers))
	for _, s := range m.servers {
		work[s] = struct{}{}
	}
	return onEach(work, func(s *server, _ struct{}) error {
		return s.do(ctx, "clear", true, (*client).FlushAll)
	})
}

var errForeign = errors.New("the reply has a key that was not asked for")

func foreign(key string) error { return fmt.Errorf("%w: %q", errForeign, key) }
