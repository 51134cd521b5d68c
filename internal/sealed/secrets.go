package sealed

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// Secrets are what items are sealed with, and opened: the first of them seals, all of them open. The zero value has none. They
// can't be printed: what they were made from is not kept.
type Secrets struct{ all []secret }

// A secret is the key that was derived from one, and its number, which is on all items that it has sealed.
type secret struct {
	number uint32
	key    *xaes
}

// What is derived from a secret, by HKDF-SHA256: each text gives something of its own, from which neither the
// secret nor the others can be found.
const (
	infoKey    = "cacheutils 1: key of sealed items"
	infoNumber = "cacheutils 1: number of the secret"
	infoHashes = "cacheutils 1: key_secret"
)

// NewSecrets returns the secrets from these texts, of which there is at least one. It returns an error where this program
// may not use them, as in Go's FIPS 140-only mode.
func NewSecrets(texts [][]byte) (s Secrets, err error) {
	for _, text := range texts {
		number, err := derive(text, infoNumber)
		if err != nil {
			return s, err
		}
		of, err := derive(text, infoKey)
		if err != nil {
			return s, err
		}
		key, err := newXAES(of)
		if err != nil {
			return s, err
		}
		s.all = append(s.all, secret{binary.BigEndian.Uint32(number[:]), key})
	}
	return s, nil
}

// KeySecret returns what stands for the text of a key_secret, or for the one secret of a backend that has none.
func KeySecret(text []byte) ([]byte, error) {
	key, err := derive(text, infoHashes)
	return key[:], err
}

func derive(text []byte, info string) (key [keySize]byte, err error) {
	k, err := hkdf.Key(sha256.New, text, nil, info, keySize)
	copy(key[:], k)
	return key, err
}
