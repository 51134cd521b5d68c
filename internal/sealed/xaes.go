package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"sync/atomic"
)

// XAES-256-GCM (https://c2sp.org/XAES-256-GCM) is AES-256-GCM with a nonce of 24 bytes, so long that random ones
// don't meet. With the 12 random bytes of GCM alone they would, with a probability of 2^-32, after 2^32 messages: some days
// of a busy cache. The first half of the nonce makes a key, by the counter-mode KDF of NIST SP 800-108r1 with
// CMAC as its PRF, which comes down to two blocks of AES; the second half is the nonce of AES-256-GCM under that key.
//
// To make a key takes longer than to open a small item with it. So a process seals perHalf items with one random first
// half, and a random second half each, and those who open them keep the keys that they have made. 2^20 random nonces
// of 12 bytes have a collision with a probability of 2^-57; and two processes, or two times, have the same first half of 12
// bytes no sooner than two random nonces of as many bytes meet.

const (
	keySize   = 32
	nonceSize = 24
	halfSize  = nonceSize / 2
	tagSize   = 16

	perHalf  = 1 << 20
	maxKnown = 128 // keys that are kept, about a kilobyte each
)

// An xaes is a key of XAES-256-GCM. Many goroutines may use it at once.
type xaes struct {
	block  cipher.Block
	subkey [aes.BlockSize]byte // CMAC's first

	own   atomic.Pointer[ownHalf]
	known [maxKnown]atomic.Pointer[derived] // by a byte of the first half
}

// An ownHalf is the first half of the nonces that this process seals with now.
type ownHalf struct {
	half [halfSize]byte
	used atomic.Int64
}

// derived is AES-256-GCM under the key of a first half.
type derived struct {
	half [halfSize]byte
	gcm  cipher.AEAD
}

// newXAES returns the key, or an error where this program may not use AES-GCM in this way.
func newXAES(key [keySize]byte) (*xaes, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.subkey[:], x.subkey[:])
	var carry byte
	for i := len(x.subkey) - 1; i >= 0; i-- {
		carry, x.subkey[i] = x.subkey[i]>>7, x.subkey[i]<<1|carry
	}
	x.subkey[len(x.subkey)-1] ^= carry * 0b1000_0111
	_, err = cipher.NewGCM(block)
	return x, err
}

// newNonce fills nonce with one that was never used.
func (x *xaes) newNonce(nonce []byte) {
	own := x.own.Load()
	if own == nil || own.used.Add(1) >= perHalf {
		own = new(ownHalf)
		rand.Read(own.half[:])
		x.own.Store(own)
	}
	copy(nonce, own.half[:])
	rand.Read(nonce[halfSize:])
}

// seal appends to dst what plain is encrypted to, with its tag. dst has room for that, and nothing of it overlaps with
// the others.
func (x *xaes) seal(dst, nonce, plain, data []byte) []byte {
	return x.under([halfSize]byte(nonce)).Seal(dst, nonce[halfSize:], plain, data)
}

// open appends to dst what box was sealed from, or returns an error if that, the nonce or data is not what it was.
func (x *xaes) open(dst, nonce, box, data []byte) ([]byte, error) {
	return x.under([halfSize]byte(nonce)).Open(dst, nonce[halfSize:], box, data)
}

// under returns AES-256-GCM under the key that the first half of a nonce makes.
func (x *xaes) under(half [halfSize]byte) cipher.AEAD {
	place := &x.known[half[0]%maxKnown]
	if d := place.Load(); d != nil && d.half == half {
		return d.gcm
	}
	gcm := x.derive(half)
	place.Store(&derived{half, gcm})
	return gcm
}

func (x *xaes) derive(half [halfSize]byte) cipher.AEAD {
	key := make([]byte, 0, keySize)
	for i := range byte(2) {
		key = append(key, 0, i+1, 'X', 0)
		key = append(key, half[:]...)
	}
	for rest := key; len(rest) > 0; rest = rest[aes.BlockSize:] {
		for i := range x.subkey {
			rest[i] ^= x.subkey[i]
		}
		x.block.Encrypt(rest[:aes.BlockSize], rest[:aes.BlockSize])
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key of AES
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // newXAES had one
	}
	return gcm
}
