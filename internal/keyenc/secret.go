package keyenc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"unsafe"
)

// Secrets is how values of type cachekey.Secret are rendered: as an HMAC under the key of a backend. A nil Secrets has no key: they
// are rendered as a sum. It may be used by many goroutines at once.
type Secrets struct {
	key     []byte
	unkeyed func() // is called for each Secret that is rendered without a key
}

// NewSecrets returns how values are rendered under the key, which may be empty: unkeyed is then called for each.
func NewSecrets(key []byte, unkeyed func()) *Secrets { return &Secrets{key, unkeyed} }

// What is summed begins with one of these, so that a sum of one kind is none of another.
const (
	secretDomain = "cacheutils secret argument\x00"
	hashedDomain = "cacheutils hashed key\x00"
)

func (s *Secrets) isKeyed() bool { return s != nil && len(s.key) > 0 }

func (s *Secrets) sum(domain string, text []byte) (sum [sha256.Size]byte) {
	if !s.isKeyed() {
		return sha256.Sum256(append([]byte(domain), text...))
	}
	h := hmac.New(sha256.New, s.key)
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
	s := w.secrets
	if s != nil && !s.isKeyed() {
		s.unkeyed()
	}
	sum := s.sum(secretDomain, []byte(*(*string)(p)))
	dst = base64.RawURLEncoding.AppendEncode(append(dst, "('"...), sum[:])
	return append(dst, "')"...), nil
}
