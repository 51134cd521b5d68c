package keyenc

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString renders s as repr of Python does, except spaces, which are \x20, and bytes
// that are not UTF-8, which are \udc80 to \udcff.
//
// It loses nothing. What begins with a backslash is one rune, or one byte if it is a surrogate, since
// runes are not; all other characters stand for themselves.
func appendString(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(dst, '\''), s...), '\'')
	}
	quote := quoteFor(s)
	return append(appendEscaped(append(dst, quote), s, quote), quote)
}

const (
	longText = 64 << 10 // from how many bytes on a text is rendered piece by piece
	piece    = 16 << 10
)

// appendText is appendString for the text of a value, which may be longer than there is room for.
func appendText(dst []byte, s string, w walk) ([]byte, error) {
	if len(s) < longText {
		return appendString(dst, s), nil
	}
	if err := w.room(dst, len(s)); err != nil { // no text becomes shorter
		return dst, err
	}
	if isPlain(s) {
		return appendString(dst, s), nil
	}
	quote := quoteFor(s)
	dst = append(dst, quote)
	for s != "" {
		n := min(piece, len(s))
		for back := 0; back < utf8.UTFMax && n < len(s); back++ { // no rune is cut in two
			if utf8.RuneStart(s[n-back]) {
				n -= back
				break
			}
		}
		dst = appendEscaped(dst, s[:n], quote)
		if err := w.room(dst, len(s)-n); err != nil {
			return dst, err
		}
		s = s[n:]
	}
	return append(dst, quote), nil
}

// appendByteText is appendBytes for a value, which may be longer than there is room for.
func appendByteText(dst, b []byte, w walk) ([]byte, error) {
	if len(b) < longText {
		return appendBytes(dst, b), nil
	}
	if err := w.room(dst, len(b)); err != nil {
		return dst, err
	}
	quote := quoteFor(b)
	dst = append(dst, 'b', quote)
	for len(b) > 0 {
		n := min(piece, len(b))
		dst = appendEscapedBytes(dst, b[:n], quote)
		if err := w.room(dst, len(b)-n); err != nil {
			return dst, err
		}
		b = b[n:]
	}
	return append(dst, quote), nil
}

// isPlain reports whether s is rendered as it is, between single quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// plain contains the bytes that stand for themselves whatever the quote.
var plain = func() (bytes [256]bool) {
	for c := '!'; c <= '~'; c++ {
		bytes[c] = c != '\'' && c != '"' && c != '\\'
	}
	return bytes
}()

// appendEscaped renders what stands between the quotes.
func appendEscaped(dst []byte, s string, quote byte) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = appendASCII(dst, c, quote)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\udc`...)
			dst = append(dst, hexDigits[s[i]>>4], hexDigits[s[i]&15])
		case strconv.IsPrint(r):
			dst = append(dst, s[i:i+size]...)
		default:
			dst = appendEscape(dst, r)
		}
		i += size
	}
	return dst
}

// appendBytes renders b as repr of Python renders bytes, except spaces, which are \x20.
func appendBytes(dst, b []byte) []byte {
	quote := quoteFor(b)
	return append(appendEscapedBytes(append(dst, 'b', quote), b, quote), quote)
}

func appendEscapedBytes(dst, b []byte, quote byte) []byte {
	for _, c := range b {
		if c < utf8.RuneSelf {
			dst = appendASCII(dst, c, quote)
		} else {
			dst = appendEscape(dst, rune(c))
		}
	}
	return dst
}

// quoteFor returns Python's choice of the quote around text.
func quoteFor[T string | []byte](text T) byte {
	single := false
	for i := range len(text) {
		switch text[i] {
		case '\'':
			single = true
		case '"':
			return '\''
		}
	}
	if single {
		return '"'
	}
	return '\''
}

func appendASCII(dst []byte, c, quote byte) []byte {
	switch {
	case c == '\\' || c == quote:
		return append(dst, '\\', c)
	case c > ' ' && c < 0x7f:
		return append(dst, c)
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	}
	return appendEscape(dst, rune(c))
}

// appendEscape renders r as \xNN, \uNNNN or \UNNNNNNNN.
func appendEscape(dst []byte, r rune) []byte {
	letter, digits := byte('x'), 2
	if r > 0xffff {
		letter, digits = 'U', 8
	} else if r > 0xff {
		letter, digits = 'u', 4
	}
	dst = append(dst, '\\', letter)
	for digits--; digits >= 0; digits-- {
		dst = append(dst, hexDigits[r>>(4*digits)&15])
	}
	return dst
}

// EscapeName makes the name of a type or package legal in a key: %2e and the like, which the
// compiler writes in package paths, are decoded, and spaces and control characters are dropped or
// escaped.
//
// Names of type arguments hold both, as in Box[struct { X int "json:\"x y\"" }]. Within quotes a
// space becomes \x20, which Go's quoting never produces; outside of them spaces are dropped next to
// punctuation and become \x20 between words.
func EscapeName(name string) string {
	if !strings.ContainsAny(name, " %\"\\\x7f") && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return name
	}
	const punctuation = "{}()[];,"
	dst := make([]byte, 0, len(name))
	quoted := false
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case quoted && c == '\\' && i+1 < len(name):
			i++
			dst = append(dst, c, name[i])
		case c == '"':
			quoted = !quoted
			dst = append(dst, c)
		case c == ' ' && !quoted && (i+1 < len(name) && strings.IndexByte(punctuation, name[i+1]) >= 0 || i > 0 && strings.IndexByte(punctuation, name[i-1]) >= 0):
		case c <= ' ' || c == 0x7f:
			dst = appendEscape(dst, rune(c))
		case c == '%' && !quoted && i+2 < len(name):
			b, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
			if err != nil || b <= ' ' || b == 0x7f {
				dst = append(dst, c)
				continue
			}
			dst = append(dst, byte(b))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return strings.ToValidUTF8(string(dst), "\uFFFD")
}
