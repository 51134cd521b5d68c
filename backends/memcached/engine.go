// Package memcached is a cache on memcached servers, by way of gomemcache.
//
// A location is a server: "host", "host:port", "[::1]:11211", "unix:/path" or "/path"; the
// port is 11211 unless given, and without a location the server is 127.0.0.1:11211. Servers are
// dialled when they are first needed, and nothing is resolved before that.
//
// A host name with several addresses stands for several servers: the keys of its location are spread over the
// addresses, and all processes that get the same addresses, in whatever order, agree. If some of the addresses are IPv4,
// the others don't count; a name with one IPv4 address has one server, whose IPv6 addresses are tried if nobody listens at
// that. While it is used, a name is resolved again every 5 s, and when connections are dialled. If the answer has changed
// keys are looked for where the new one says; while processes have different answers they don't agree.
// If it can't be resolved the last answer stays.
//
// With several locations the keys are spread over them by rendezvous hashing, as pymemcache (so
// Django) does it. Every process has to call the servers by the same names; their order doesn't
// matter. With one server more or less, only that one's share of the keys moves.
//
// A server that fails is down for this process: its operations fail at once, with an error that
// matches cacheutils.ErrServerDown, until a probe in the background is answered. Its keys stay its
// own meanwhile: on another server they would be found again, after that one is back, as they were
// before all that was invalidated since.
//
// The options are as follows. Times are from 1ms to 1m, and probe_interval to 1h.
//
//	operation_timeout    how long an operation may take in all, waiting for a connection and dialling
//	                     included; 250ms unless given. A reply gets it once more for every 256 KiB
//	                     that have arrived, up to four times in all, and so has a request for
//	                     thousands of keys. All backends have this option: see package backends.
//	connect_timeout      how long dialling may take, TLS included; three fifths of operation_timeout
//	                     unless given
//	read_timeout         how long the server may be silent, from when a request is sent; three fifths of
//	                     operation_timeout unless given. It ends no later than the operation.
//	max_conns            how many connections to each server may be open, from 1 to 65535; 64 unless
//	                     given. Further callers wait for one.
//	max_idle_conns       how many of them stay open when nobody needs them, from 1 to max_conns; as
//	                     many as max_conns unless given
//	max_waiting          how many callers may wait for a connection to a server, above which
//	                     operations fail at once, from 0 to 1048576; 16384 unless given
//	breaker_failures     after how many faults in a row a server is down; 3 unless given. When
//	                     nobody listens at its address, or its name can't be resolved, it is down
//	                     at once.
//	probe_interval       how often a server that is down is probed; 500ms unless given
//	invalidation_replay  how many invalidations may wait for each server that can't be reached, to be
//	                     carried out before anything is read from it again, up to 1048576; 0 unless
//	                     given: none
//	max_item_size        the size of the largest item that is sent, in bytes, its key and memcached's
//	                     header included, from 1 KiB to 1 GiB; 1 MiB unless given, as in memcached
//	                     (its option -I). A larger value that another program stored is not read:
//	                     getting it is an error.
//	clear                "flush_all" has Clear empty the servers, for every program that uses them; not
//	                     given, Clear is an error, since memcached can't list the keys of a prefix
//	no_delay             whether to send small packets at once; true unless given. It is for connections that are a
//	                     *net.TCPConn.
//	dialer               in Go a func(ctx context.Context, network, address string) (net.Conn, error) that makes the
//	                     connections, such as (*net.Dialer).DialContext, which does unless given: through an SSH
//	                     tunnel, a proxy, or in a test to a server in memory. It gets "tcp" and host:port, or "unix" and
//	                     a path. The host is an IP address: names are resolved first. It has to return when
//	                     ctx ends, which is at connect_timeout at the latest. TLS and the login go over what it
//	                     returns. A connection that isn't a socket is not checked before it is used again: the first
//	                     operation on one that has died finds out.
//	tls                  whether to use TLS: true, false, or in Go a *tls.Config; false unless given
//	tls_ca               a PEM file with the certificates that the server's is checked with, instead
//	                     of the system's; turns TLS on
//	tls_cert, tls_key    PEM files with the client's certificate and key, if it has to have one
//	tls_server_name      the name in the server's certificate; the host of the location unless given
//	username, password   the login for servers that are run with -Y, without spaces; none unless given
//	password_env         instead of password, the name of an environment variable that has it
//	plain_password       whether the password may be sent without TLS to a server on another host; false
//	                     unless given
//
// What is particular to memcached:
//
//   - Timeouts are whole seconds, rounded up, and memcached's clock ticks once a second. So an
//     entry with a timeout of whole seconds may end up to a second early. None but a plain number ends late: the
//     others end by the time of day that stands in them, and for Delete, which doesn't read it, up to two seconds
//     later. One that would end after January 2038 ends then.
//   - The server has to have compare-and-swap. One that is run with -C, or a proxy without it, counts as down.
//   - Keys have 1 to 250 bytes and no spaces or control characters: see CheckKey.
//   - Numbers are unsigned in memcached. A decrement stops at 0, and a negative number can't
//     be incremented (cacheutils.ErrNotNumber). A sum above the largest int64 is also
//     cacheutils.ErrNotNumber, but the server then has that sum.
//   - Clear is an error that matches cacheutils.ErrConfig, unless the option clear is flush_all: then it empties the
//     servers, and entries of every prefix and every program that uses them are gone.
package memcached

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

const (
	defaultMaxItemSize = 1 << 20
	leastItemSize      = 1 << 10 // memcached's -I allows no less
	maxItemSize        = 1 << 30 // and no more

	maxConns        = 65535   // as many as there are ports
	maxQueueing     = 1 << 20 // callers, or invalidations, that wait for one server
	longestTimeout  = time.Minute
	longestInterval = time.Hour
)

// memcached is an engine.
type memcached struct {
	locations locations // a key's server is serverOf
	plain     []string  // the addresses beyond this host without TLS, unless the option tls says that it is to be so
	operation time.Duration
	flushes   bool // Clear may empty the servers
	closed    lifetime
	closing   sync.Once
}

// A lifetime is a channel that is closed when the engine is. The engine and its servers share it.
type lifetime chan struct{}

// isClosed reports whether the engine was closed.
func (l lifetime) isClosed() bool {
	select {
	case <-l:
		return true
	default:
		return false
	}
}

// Open returns an engine on the servers that s.Location names. It implements engine.KeyChecker,
// engine.EachGetter, engine.ServerEngine and engine.Replayer. It doesn't check whether the servers are there:
// one that is down, or whose name can't be resolved, is an error of the operations that need it, while the
// other servers work. A wrong location or option is an error that matches cacheutils.ErrConfig.
func Open(s engine.Settings) (engine.Engine, error) {
	r := engine.ReadOptions("memcached", s.Options)
	l := readLimits(r, s.OperationTimeout)
	var errs []error
	texts := s.Location
	if len(texts) == 0 {
		texts = []string{defaultHost}
	}
	var addresses []address // each once
	for _, text := range texts {
		a, err := parseLocation(text)
		if err != nil {
			errs = append(errs, err)
		} else if !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	var err [4]error
	var flushes bool
	l.tls, err[0] = readTLS(r)
	l.login, err[1] = readLogin(r, l.tls != nil, addresses)
	flushes, err[2] = readClear(r)
	l.via, err[3] = readDialer(r)
	if err := errors.Join(append(append(errs, err[:]...), r.Err())...); err != nil {
		return nil, err
	}
	closed := make(lifetime)
	m := &memcached{closed: closed, operation: l.operation, flushes: flushes}
	for _, a := range addresses {
		m.locations = append(m.locations, newLocation(a, l, closed))
		if l.tls == nil && !r.Given("tls") && a.isBeyondHost() {
			m.plain = append(m.plain, a.String())
		}
	}
	slices.SortFunc(m.locations, byPlace)
	return m, nil
}

// readLimits reads the options but those about TLS. An operation may take as long as is given, unless
// an option says otherwise.
func readLimits(r *engine.OptionReader, operation time.Duration) limits {
	conns := r.IntBetween("max_conns", 64, 1, maxConns)
	operation = r.DurationBetween("operation_timeout", cmp.Or(operation, 250*time.Millisecond), time.Millisecond, longestTimeout)
	return limits{
		operation:   operation,
		connect:     r.DurationBetween("connect_timeout", operation/5*3, time.Millisecond, longestTimeout),
		read:        r.DurationBetween("read_timeout", operation/5*3, time.Millisecond, longestTimeout),
		maxConns:    conns,
		maxIdle:     r.IntBetween("max_idle_conns", conns, 1, conns),
		maxWaiting:  r.IntBetween("max_waiting", 16384, 0, maxQueueing),
		maxItemSize: r.IntBetween("max_item_size", defaultMaxItemSize, leastItemSize, maxItemSize),
		failures:    r.PositiveInt("breaker_failures", 3),
		probe:       r.DurationBetween("probe_interval", 500*time.Millisecond, time.Millisecond, longestInterval),
		maxQueued:   r.IntBetween("invalidation_replay", 0, 0, maxQueueing),
		dialing:     dialing{noDelay: r.Bool("no_delay", true)},
	}
}

// Traits says that operations are bounded here, since a reply that is arriving gets more time, and that
// Clear empties the servers.
func (m *memcached) Traits() engine.Traits { return engine.Traits{KeepsTime: true, ClearsAll: true} }

// PlainServers returns the addresses beyond this host that connections without TLS are to go to, unless the option tls is
// false: package backends warns of them.
func (m *memcached) PlainServers() []string { return m.plain }

// Close closes the connections: idle ones now, those in use when their operations end. Probes
// end, and invalidations that wait for a server are forgotten. A caller that waits for a connection gets
// cacheutils.ErrClosed, and so does one that would have to dial. Nothing else is left of the engine; its
// operations run on the goroutines of their callers.
func (m *memcached) Close() error {
	m.closing.Do(func() {
		close(m.closed)
		for _, l := range m.locations {
			if l.name != nil {
				l.name.close()
				continue
			}
			l.only[0].close()
		}
	})
	return nil
}

// server returns the server of key, unless the engine is closed or memcached can't take the key.
func (m *memcached) server(ctx context.Context, key string) (*server, error) {
	if m.closed.isClosed() {
		return nil, cacheutils.ErrClosed
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return m.serverOf(ctx, key), nil
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

// flushAll is what the option clear may be.
const flushAll = "flush_all"

func readClear(r *engine.OptionReader) (flushes bool, err error) {
	switch given := r.String("clear", ""); {
	case given == flushAll:
		return true, nil
	case given != "":
		return false, fmt.Errorf("%w: memcached: the option clear is %q: it may be %q, so that Clear empties the servers, or not be given", cacheutils.ErrConfig, given, flushAll)
	default:
		return false, nil
	}
}

var errClear = fmt.Errorf("%w: memcached can't list its keys, and Clear would empty the servers, for every program that uses them: "+
	"set the option clear to %q if it may, or put entries into a group and invalidate that", cacheutils.ErrConfig, flushAll)

// Clear empties the servers, other prefixes' and other programs' entries included, if the option clear says so. Otherwise
// it is an error that matches cacheutils.ErrConfig, and nothing is removed: memcached can't list its keys.
func (m *memcached) Clear(ctx context.Context, prefix string) error {
	if m.closed.isClosed() {
		return cacheutils.ErrClosed
	}
	if !m.flushes {
		return errClear
	}
	work := make(map[*server]struct{}, len(m.locations))
	for _, l := range m.locations {
		if l.name != nil {
			l.name.begin() // before it waits for one of them
		}
	}
	for _, l := range m.locations {
		for _, s := range l.servers(ctx) {
			work[s] = struct{}{}
		}
	}
	return onEach(work, func(s *server, _ struct{}) error {
		return s.do(ctx, clearing, (*client).FlushAll)
	})
}

var errForeign = errors.New("the reply has a key that was not requested")

func foreign(key string) error { return fmt.Errorf("%w: %s", errForeign, quote(key)) }
