package memcached

import (
	"fmt"

	"github.com/cacheutils/cacheutils"
)

const maxKey = 250

// CheckKey refuses, with an error that matches cacheutils.ErrInvalidKey, the keys that
// memcached can't take: the empty one, more than 250 bytes, and those with a space or a
// control character.
func (m *memcached) CheckKey(key string) error { return checkKey(key) }

func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", cacheutils.ErrInvalidKey)
	case len(key) > maxKey:
		return fmt.Errorf("%w: with prefix and version it has %d bytes, memcached takes %d", cacheutils.ErrInvalidKey, len(key), maxKey)
	}
	for i := range len(key) {
		if b := key[i]; b <= ' ' || b == 0x7f {
			return fmt.Errorf("%w: it has the byte %#02x, a space or control character, which memcached can't take", cacheutils.ErrInvalidKey, b)
		}
	}
	return nil
}
