package keyenc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"reflect"
	"unsafe"
)

// Secrets is how values of type cachekey.Secret are rendered: as an HMAC under the key of a backend. A nil Secrets has no key: they
// are rendered as a sum. It may be used by many goroutines at once.
type Secrets struct {
	key     []byte
	unkeyed func() // is called for each Secret that is rendered without a key, unless it is nil
	summed  *int   // the bytes of long Secrets in the value that is rendered; nil: they are not counted
}

// NewSecrets returns how values are rendered under the key, which may be empty: unkeyed is then called for each.
func NewSecrets(key []byte, unkeyed func()) *Secrets { return &Secrets{key: key, unkeyed: unkeyed} }

// A sum takes as long as the text, and has 43 characters of the key: where a value leads to one long Secret again and again, the
// bound of the key's text does not bound the work. So the long ones are counted. Almost no value has one: it is rendered without
// a counter, which would take memory, and once more with one if that ends in errNotCounted.

// longSecret is from how many bytes on a Secret is counted.
const longSecret = 512

var errNotCounted = errors.New("a long Secret, and there is no counter")

// counting returns s with a counter.
func (s *Secrets) counting() *Secrets {
	c := &Secrets{summed: new(int)}
	if s != nil {
		c.key, c.unkeyed = s.key, s.unkeyed
	}
	return c
}

// count counts a Secret of n bytes, and fails if the value has more of them than a key may have text.
func (s *Secrets) count(n int) error {
	switch {
	case n < longSecret:
		return nil
	case s == nil || s.summed == nil:
		return errNotCounted
	}
	if n > MaxText-*s.summed {
		return errTooLong
	}
	*s.summed += n
	return nil
}

// What is summed begins with one of these, so that a sum of one kind is none of another.
const (
	secretDomain = "cacheutils secret argument\x00"
	hashedDomain = "cacheutils hashed key\x00"
)

func (s *Secrets) isKeyed() bool { return s != nil && len(s.key) > 0 }

func (s *Secrets) sum(domain string, text []byte) (sum [sha256.Size]byte) {
	var h hash.Hash
	if s.isKeyed() {
		h = hmac.New(sha256.New, s.key)
	} else {
		h = sha256.New()
	}
	h.Write([]byte(domain))
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

// AppendHash appends the hexadecimal digits of the sum of text, the sha256 if there is no key. text may be what is behind dst.
func (s *Secrets) AppendHash(dst, text []byte) []byte {
	if !s.isKeyed() {
		sum := sha256.Sum256(text)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := s.sum(hashedDomain, text)
	return hex.AppendEncode(dst, sum[:])
}

// isSecret reports whether t is cachekey.Secret. Package cachekey imports this one, which therefore knows the type by its name.
func isSecret(t reflect.Type) bool {
	return t.Kind() == reflect.String && t.Name() == "Secret" && t.PkgPath() == "github.com/cacheutils/cacheutils/cachekey"
}

// secretBody renders the Secret at p, behind its name.
func secretBody(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
	s, text := w.secrets, *(*string)(p)
	if err := s.count(len(text)); err != nil {
		return dst, err
	}
	if s != nil && !s.isKeyed() && s.unkeyed != nil {
		s.unkeyed()
	}
	sum := s.sum(secretDomain, unsafe.Slice(unsafe.StringData(text), len(text)))
	dst = base64.RawURLEncoding.AppendEncode(append(dst, "('"...), sum[:])
	return append(dst, "')"...), nil
}
