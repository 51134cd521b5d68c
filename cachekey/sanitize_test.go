package cachekey

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"
)

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestSanitize(t *testing.T) {
	hex32 := md5Hex("x")
	long := strings.Repeat("x", 251)
	for _, c := range []struct {
		name string
		key  string
		max  int
		want string
	}{
		{"250 bytes stay", strings.Repeat("x", 250), 250, strings.Repeat("x", 250)},
		{"251 bytes are shortened", long, 250, strings.Repeat("x", 217) + "-" + md5Hex(long)},
		{"bytes, not characters", strings.Repeat("й", 150), 250, strings.Repeat("й", 108) + "-" + md5Hex(strings.Repeat("й", 150))},
		{"cut at a rune", strings.Repeat("😀", 63), 250, strings.Repeat("😀", 54) + "-" + md5Hex(strings.Repeat("😀", 63))},
		{"other limit", strings.Repeat("x", 50), 40, "xxxxxxx-" + md5Hex(strings.Repeat("x", 50))},
		{"built like a shortened one", "head-" + hex32, 250, "head-" + hex32 + "-" + md5Hex("head-"+hex32)},
		{"hash alone", "-" + hex32, 250, "-" + hex32 + "-" + md5Hex("-"+hex32)},
		{"not like a shortened one", "head" + hex32, 250, "head" + hex32},
		{"capital digits", "head-" + strings.ToUpper(hex32), 250, "head-" + strings.ToUpper(hex32)},
		{"space", "a b", 250, `a\x20b-` + md5Hex("a b")},
		{"its escape", `a\x20b`, 250, `a\x20b`},
		{"controls", "a\x00\n\x7f", 250, `a\x00\x0a\x7f-` + md5Hex("a\x00\n\x7f")},
		{"no UTF-8", "a\xff", 250, `a\xff-` + md5Hex("a\xff")},
		{"escape doesn't fit", "ab cdef", 38, "ab-" + md5Hex("ab cdef")},
		{"empty", "", 250, "-" + md5Hex("")},
		{"max 34", long, 34, "x-" + md5Hex(long)},
		{"max 33", long, 33, "-" + md5Hex(long)},
		{"max 32", long, 32, md5Hex(long)},
		{"max 5", long, 5, md5Hex(long)[:5]},
		{"max 5 plain", "hello", 5, "hello"},
		{"max 5 of hex digits", "abcde", 5, md5Hex("abcde")[:5]},
		{"max 0", "x", 0, ""},
		{"max negative", "x", -1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sanitize(c.key, c.max); got != c.want {
				t.Errorf("Sanitize: %q, want %q", got, c.want)
			}
		})
	}
}
