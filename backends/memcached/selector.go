package memcached

import (
	"net"
	"slices"
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

// servers are those that keys are spread over, sorted by address.
type servers []*server

// of returns the server of key.
func (s servers) of(key string) *server {
	if len(s) == 1 {
		return s[0]
	}
	return s[s.index(key)]
}

func (s servers) index(key string) (best int) {
	var keyBuffer [maxKey]byte // on the stack
	var buffer [2 * maxKey]byte
	counts := appendKey(keyBuffer[:0], key)
	var highest uint32
	for i, one := range s {
		score := murmur3.Sum32(append(append(buffer[:0], one.label...), counts...))
		if i == 0 || score > highest || score == highest && one.label > s[best].label {
			best, highest = i, score
		}
	}
	return best
}

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

// spread returns the indices of the keys by server.
func (s servers) spread(keys []string) map[*server][]int {
	by := make(map[*server][]int, len(s))
	for i, key := range keys {
		one := s.of(key)
		by[one] = append(by[one], i)
	}
	return by
}

// sorted returns the servers, each once.
func sorted(byAddress map[address]*server) servers {
	var s servers
	for _, one := range byAddress {
		s = append(s, one)
	}
	slices.SortFunc(s, func(a, b *server) int {
		if a.label < b.label {
			return -1
		}
		return 1
	})
	return s
}

// only is the selector of a client that talks to one server.
type only struct{ addr net.Addr }

var _ memcache.ServerSelector = only{}

func (o only) PickServer(string) (net.Addr, error) { return o.addr, nil }

func (o only) Each(f func(net.Addr) error) error { return f(o.addr) }
