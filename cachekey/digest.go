package cachekey

import (
	"crypto/sha256"
	"encoding/hex"
)

// digestLen is how many bytes of a sum a Digest has.
const digestLen = 8

// Digest returns what stands for a key in warnings and errors, where its arguments must not be read: the first 16 hexadecimal
// digits of the sha256 of its text. key is what the handle's CacheKey returns, so that one who knows the arguments finds
// their lines:
//
//	key, err := cities.CacheKey(ctx, 42, "it")
//	fmt.Println(cachekey.Digest(key)) // b9f64fcd5d73b134
//
// The keys of package cache are what Repr returns, those of *backends.Cache are the texts that it was given. A digest doesn't hide
// what can be guessed: who tries all PINs finds the one with the digest. For such arguments there is Secret.
func Digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:digestLen])
}
