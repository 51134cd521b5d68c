package cachekey

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// unescape undoes the rendering of a string, by the rules of Python's literals.
func unescape(t *testing.T, s string) string {
	quote := s[0]
	if len(s) < 2 || quote != '\'' && quote != '"' || s[len(s)-1] != quote {
		t.Fatalf("%q is not quoted", s)
	}
	var b strings.Builder
	for s = s[1 : len(s)-1]; s != ""; {
		if s[0] == quote {
			t.Fatalf("a quote within: %q", s)
		}
		if s[0] != '\\' {
			r, size := utf8.DecodeRuneInString(s)
			b.WriteRune(r)
			s = s[size:]
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
		if digits == 0 {
			c, ok := map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '\'': '\'', '"': '"'}[s[1]]
			if !ok {
				t.Fatalf("unknown escape %q", s)
			}
			b.WriteByte(c)
			s = s[2:]
			continue
		}
		n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
		if err != nil {
			t.Fatalf("bad escape %q", s)
		}
		if n >= 0xdc80 && n <= 0xdcff {
			b.WriteByte(byte(n))
		} else {
			b.WriteRune(rune(n))
		}
		s = s[2+digits:]
	}
	return b.String()
}

func mustRepr(t *testing.T, v any) string {
	text, err := Repr(v)
	if err != nil {
		t.Fatalf("Repr(%#v): %v", v, err)
	}
	return text
}

func FuzzString(f *testing.F) {
	for i, text := range someTexts {
		f.Add(text, someTexts[(i+1)%len(someTexts)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := mustRepr(t, a), mustRepr(t, b)
		if (a == b) != (x == y) {
			t.Fatalf("%q and %q: %s and %s", a, b, x, y)
		}
		if back := unescape(t, x); back != a {
			t.Fatalf("%s of %q means %q", x, a, back)
		}
		if !isLegal(x) {
			t.Fatalf("%q of %q isn't legal", x, a)
		}
		if p, q := mustRepr(t, []byte(a)), mustRepr(t, []byte(b)); (a == b) != (p == q) || !isLegal(p) {
			t.Fatalf("%q and %q as bytes: %s and %s", a, b, p, q)
		}
	})
}

func FuzzSanitize(f *testing.F) {
	for _, text := range someTexts {
		f.Add(text, strings.Repeat(text, 20), 40)
	}
	f.Add("head-"+md5Hex("x"), "x", 250)
	f.Add("abcde", "hello", 5)
	f.Fuzz(func(t *testing.T, a, b string, max int) {
		x, y := Sanitize(a, max), Sanitize(b, max)
		for _, s := range []string{x, y, Sanitize(x, max)} {
			if len(s) > 0 && len(s) > max {
				t.Fatalf("%q has %d bytes, not %d", s, len(s), max)
			}
			if max > 0 && (s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })) {
				t.Fatalf("%q isn't legal", s)
			}
		}
		if x == y && a != b && max > 0 && !(len(x) == max && isHex(x)) {
			t.Fatalf("%q and %q share %q, which isn't the digits of a hash", a, b, x)
		}
		if max >= hashLen && (a == b) != (x == y) {
			t.Fatalf("%q and %q: %q and %q", a, b, x, y)
		}
		if max > hashLen && x != a && !strings.HasSuffix(x, "-"+md5Hex(a)) {
			t.Fatalf("%q of %q doesn't end in its md5", x, a)
		}
	})
}

// bytesSource makes choices from bytes; when they are used up, the smallest ones.
type bytesSource struct{ left []byte }

func (s *bytesSource) intn(n int) int {
	if len(s.left) == 0 {
		return 0
	}
	c := int(s.left[0])
	s.left = s.left[1:]
	return c % n
}

func FuzzArgs(f *testing.F) {
	f.Add([]byte{0}, []byte{1})
	f.Add([]byte("values of many types"), []byte("others, of as many types"))
	f.Add([]byte{3, 0, 2, 2, 1, 1, 1}, []byte{3, 0, 2, 2, 1, 1, 2})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := randomArgs(&bytesSource{a}), randomArgs(&bytesSource{b})
		p, err := Args(x.Args, x.Kwargs)
		if err != nil {
			t.Fatalf("Args of %#v: %v", x, err)
		}
		q, err := Args(y.Args, y.Kwargs)
		if err != nil {
			t.Fatalf("Args of %#v: %v", y, err)
		}
		if eq := same(reflect.ValueOf(x), reflect.ValueOf(y)); eq != (p == q) {
			t.Fatalf("same %t, but the arguments are\n%s\n%s", eq, p, q)
		}
		if p != "" && !isLegal(p) {
			t.Fatalf("%q isn't legal", p)
		}
		again := clone(reflect.ValueOf(x)).Interface().(arguments)
		if r, err := Args(again.Args, again.Kwargs); err != nil || r != p {
			t.Fatalf("a copy: %s, %v, want %s", r, err, p)
		}
	})
}

type arguments struct {
	Args   []any
	Kwargs Kwargs
}

func randomArgs(s source) arguments {
	var a arguments
	for range s.intn(3) {
		var x any
		fill(s, reflect.ValueOf(&x).Elem(), 3)
		a.Args = append(a.Args, x)
	}
	if s.intn(3) == 2 {
		a.Kwargs = Kwargs{}
		for _, name := range []string{"a", "b"}[:1+s.intn(2)] {
			var x any
			fill(s, reflect.ValueOf(&x).Elem(), 2)
			a.Kwargs[name] = x
		}
	}
	return a
}
