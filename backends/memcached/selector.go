package memcached

import (
	"hash/crc32"
	"net"

	"github.com/bradfitz/gomemcache/memcache"
)

// servers are the places that keys are spread over, in the order they were configured. One
// that is named twice gets twice its share.
type servers []*server

// of returns the server of key.
func (s servers) of(key string) *server {
	if len(s) == 1 {
		return s[0]
	}
	return s[place(key, len(s))]
}

// place spreads keys over n places, as gomemcache's own selector does.
func place(key string, n int) int {
	var buffer [maxKey]byte // on the stack, where a conversion would allocate
	sum := crc32.ChecksumIEEE(buffer[:copy(buffer[:], key)])
	return int(sum % uint32(n))
}

// distinct returns each server once.
func (s servers) distinct() servers {
	var all servers
	seen := make(map[*server]bool, len(s))
	for _, one := range s {
		if !seen[one] {
			seen[one] = true
			all = append(all, one)
		}
	}
	return all
}

// group returns the keys by server, each key once.
func (s servers) group(keys []string) map[*server][]string {
	groups := make(map[*server][]string, len(s))
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			one := s.of(key)
			groups[one] = append(groups[one], key)
		}
	}
	return groups
}

// only is the selector of a client that talks to one server.
type only address

var _ memcache.ServerSelector = only{}

func (o only) PickServer(string) (net.Addr, error) { return address(o), nil }

func (o only) Each(f func(net.Addr) error) error { return f(address(o)) }
