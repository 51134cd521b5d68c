package cachekey

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	hashLen   = 2 * md5.Size
	hexDigits = "0123456789abcdef"
)

// Sanitize returns a key that is legal in memcached: at most max bytes of valid UTF-8, none of them a
// space or a control character, and never empty if max is positive.
//
// A legal key stays as it is, unless it ends like a shortened one. Any other key becomes its
// readable beginning, in which spaces and control characters are \x20 and the like, then '-' and
// the md5 of the whole key in hex. So no plain key is ever equal
// to a shortened one, and shortened keys differ as their md5 do.
//
// With a max of 33 or more there is room for '-' and the md5; below, the result is the key or the
// first max digits of its md5, and a key of exactly max digits doesn't stay as it is. Sanitize
// once, the key as it is sent: a result that is sanitized again is shortened again.
func Sanitize(key string, max int) string {
	if max <= 0 {
		return ""
	}
	if isLegal(key) && len(key) <= max && !looksShortened(key, max) {
		return key
	}
	sum := md5.Sum([]byte(key))
	digits := hex.EncodeToString(sum[:])
	if max <= hashLen {
		return digits[:max]
	}
	dst := appendHead(make([]byte, 0, max), key, max-hashLen-1)
	return string(append(append(dst, '-'), digits...))
}

// isLegal reports whether memcached takes key, its length aside.
func isLegal(key string) bool {
	i := 0
	for ; i+8 <= len(key) && areGraphic(word(key[i:])); i += 8 {
	}
	for rest := key[i:]; i < len(key); i++ {
		if c := key[i]; c >= utf8.RuneSelf {
			return areLegalBytes(rest) && utf8.ValidString(rest)
		} else if !isLegalByte(c) {
			return false
		}
	}
	return key != ""
}

func areLegalBytes(key string) bool {
	for i := range len(key) {
		if !isLegalByte(key[i]) {
			return false
		}
	}
	return true
}

// word returns the first eight bytes of s, the first one lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// areGraphic reports whether all eight bytes of w are from '!' to '~'. The sum sets the top bit of
// each byte that is 0x7f, and the difference of each that is below '!', or of one above such
// a byte; neither carries over from bytes that are as they should be.
func areGraphic(w uint64) bool {
	const ones = 0x0101010101010101
	return (w|(w+ones)|(w-ones*'!'))&(ones*0x80) == 0
}

func isLegalByte(c byte) bool { return c > ' ' && c != 0x7f }

// looksShortened reports whether key has the form of what Sanitize returns for longer ones.
func looksShortened(key string, max int) bool {
	if max <= hashLen {
		return len(key) == max && isHex(key)
	}
	i := len(key) - hashLen
	return i > 0 && key[i-1] == '-' && isHex(key[i:])
}

func isHex(s string) bool { return strings.Trim(s, hexDigits) == "" }

// appendHead appends as much of the beginning of key as fits into room bytes, without cutting a
// character or an escape in two.
func appendHead(dst []byte, key string, room int) []byte {
	for i := 0; i < len(key); {
		r, size := utf8.DecodeRuneInString(key[i:])
		before := len(dst)
		if size == 1 && (r == utf8.RuneError || !isLegalByte(key[i])) {
			dst = append(dst, '\\', 'x', hexDigits[key[i]>>4], hexDigits[key[i]&15])
		} else {
			dst = append(dst, key[i:i+size]...)
		}
		room -= len(dst) - before
		if room < 0 {
			return dst[:before]
		}
		i += size
	}
	return dst
}
