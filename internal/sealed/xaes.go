package sealed

import (
	"crypto/aes"
	"crypto/cipher"
)

// XAES-256-GCM (https://c2sp.org/XAES-256-GCM) is AES-256-GCM with a nonce of 24 bytes, so long that random ones
// don't meet: 2^80 messages under one key have a collision with a probability of 2^-32. With the 12 random bytes of GCM alone
// that would be so after 2^32 messages, some days of a busy cache. The first half of the nonce makes a key, by the
// counter-mode KDF of NIST SP 800-108r1 with CMAC as its PRF, which comes down to two blocks of AES; the second half
// is the nonce of AES-256-GCM under that key.

const (
	keySize   = 32
	nonceSize = 24
	tagSize   = 16
)

// An xaes is a key of XAES-256-GCM. Many goroutines may use it at once.
type xaes struct {
	block  cipher.Block
	subkey [aes.BlockSize]byte // CMAC's first
}

func newXAES(key [keySize]byte) *xaes {
	x := &xaes{block: newBlock(key[:])}
	x.block.Encrypt(x.subkey[:], x.subkey[:])
	var carry byte
	for i := len(x.subkey) - 1; i >= 0; i-- {
		carry, x.subkey[i] = x.subkey[i]>>7, x.subkey[i]<<1|carry
	}
	x.subkey[len(x.subkey)-1] ^= carry * 0b1000_0111
	return x
}

// seal appends to dst what plain is encrypted to, with its tag. dst has room for that, and nothing of it overlaps with
// the others.
func (x *xaes) seal(dst, nonce, plain, data []byte) []byte {
	return x.under(nonce).Seal(dst, nonce[aes.BlockSize-4:], plain, data)
}

// open appends to dst what box was sealed from, or returns an error if that, the nonce or data is not what it was.
func (x *xaes) open(dst, nonce, box, data []byte) ([]byte, error) {
	return x.under(nonce).Open(dst, nonce[aes.BlockSize-4:], box, data)
}

// under returns AES-256-GCM under the key that the first half of nonce makes.
func (x *xaes) under(nonce []byte) cipher.AEAD {
	key := make([]byte, 0, keySize)
	for i := range byte(2) {
		key = append(key, 0, i+1, 'X', 0)
		key = append(key, nonce[:aes.BlockSize-4]...)
	}
	for half := key; len(half) > 0; half = half[aes.BlockSize:] {
		for i := range x.subkey {
			half[i] ^= x.subkey[i]
		}
		x.block.Encrypt(half[:aes.BlockSize], half[:aes.BlockSize])
	}
	gcm, err := cipher.NewGCM(newBlock(key))
	if err != nil {
		panic(err) // a block of AES is as long as GCM wants it
	}
	return gcm
}

func newBlock(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a key of 32 bytes is one of AES
	}
	return block
}
