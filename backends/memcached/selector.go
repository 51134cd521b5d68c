package memcached

import (
	"context"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/twmb/murmur3"
)

// Keys are spread by rendezvous hashing (Thaler and Ravishankar, 1998): each server has a score
// for the key, and the one with the highest has the key. So the order of the servers doesn't
// matter, and a server that is added or taken away moves only the keys that it has then or had
// before. The score is that of pymemcache's HashClient, so that a Django project with the same
// list of servers finds keys in the same places.
//
// A key's server doesn't change when it is down: its keys then are misses. If they moved to another
// server meanwhile, they would be found again on the first one, after all that had been
// invalidated in between.

// places are what keys are spread over, sorted by place.
type places[T interface{ place() string }] []T

// The locations share the keys, and the servers of a location those that are its own. So when a name gets another
// address, no key of another location moves.
type (
	locations = places[*location]
	servers   = places[*server]
)

func (l *location) place() string { return l.label }
func (s *server) place() string   { return s.label }

// of returns the place of key.
func (p places[T]) of(key string) T {
	if len(p) == 1 {
		return p[0]
	}
	return p[p.index(key)]
}

func (p places[T]) index(key string) (best int) {
	var keyBuffer [maxKey]byte // on the stack
	var buffer [2 * maxKey]byte
	counts := appendKey(keyBuffer[:0], key)
	var highest uint32
	for i, one := range p {
		label := one.place()
		score := murmur3.Sum32(append(append(buffer[:0], label...), counts...))
		if i == 0 || score > highest || score == highest && label > p[best].place() {
			best, highest = i, score
		}
	}
	return best
}

func byPlace[T interface{ place() string }](a, b T) int { return strings.Compare(a.place(), b.place()) }

// appendKey appends what of the key counts in a score: the low byte of the number of each
// character, as in Python.
func appendKey(b []byte, key string) []byte {
	isASCII := true
	for i := range len(key) {
		isASCII = isASCII && key[i] < utf8.RuneSelf
	}
	if isASCII {
		return append(b, key...)
	}
	for _, r := range key {
		b = append(b, byte(r))
	}
	return b
}

// serverOf returns the server of key.
func (m *memcached) serverOf(ctx context.Context, key string) *server {
	return m.locations.of(key).servers(ctx).of(key)
}

// spread returns the indices of the keys by server.
func (m *memcached) spread(ctx context.Context, keys []string) map[*server][]int {
	m.lookAhead(keys)
	by := make(map[*server][]int, len(m.locations))
	at := make(map[*location]servers, len(m.locations))
	for i, key := range keys {
		l := m.locations.of(key)
		all, known := at[l]
		if !known {
			all = l.servers(ctx)
			at[l] = all
		}
		one := all.of(key)
		by[one] = append(by[one], i)
	}
	return by
}

// lookAhead has the names looked up at once that the servers of keys are found by: who then waits for one after the other
// waits no longer than for one.
func (m *memcached) lookAhead(keys []string) {
	if len(m.locations) < 2 || !slices.ContainsFunc(m.locations, (*location).isOld) {
		return
	}
	for _, key := range keys {
		if l := m.locations.of(key); l.name != nil {
			l.name.begin()
		}
	}
}

// only is the selector of a client that talks to one server.
type only struct{ addr net.Addr }

var _ memcache.ServerSelector = only{}

func (o only) PickServer(string) (net.Addr, error) { return o.addr, nil }

func (o only) Each(f func(net.Addr) error) error { return f(o.addr) }
