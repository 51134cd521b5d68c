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

// NewSecrets returns the secrets from these texts, of which there is at least one.
func NewSecrets(texts [][]byte) Secrets {
	var s Secrets
	for _, text := range texts {
		number := derive(text, infoNumber)
		s.all = append(s.all, secret{binary.BigEndian.Uint32(number[:]), newXAES(derive(text, infoKey))})
	}
	return s
}

// KeySecret returns what stands for the key_secret of a backend that has one secret, and none for its keys.
func KeySecret(text []byte) []byte {
	key := derive(text, infoHashes)
	return key[:]
}

func derive(text []byte, info string) (key [keySize]byte) {
	k, err := hkdf.Key(sha256.New, text, nil, info, keySize)
	if err != nil {
		panic(err) // 32 bytes are not more than HKDF gives
	}
	copy(key[:], k)
	return key
}
