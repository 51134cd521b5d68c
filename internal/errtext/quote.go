package errtext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What others have written, such as a server or another program, and what a key is made of, stands in messages in a few bytes
// and without anything that a terminal would obey.

// MaxQuoted is how many bytes of a text of others a message has.
const MaxQuoted = 40

// FunctionMark stands before the name of a function in the keys of what is cached for it, and its arguments behind that.
const FunctionMark = "[cached]"

// Quote returns text in quotes. Of a long one that is the beginning, and of one with the key of a function what stands before
// that.
func Quote(text string) string {
	short := text[:min(len(text), MaxQuoted)]
	for i := len(short); i > 0 && i < len(text) && !utf8.RuneStart(text[i]); {
		i--
		short = short[:i]
	}
	if i := strings.Index(text, FunctionMark); i >= 0 && i < MaxQuoted {
		short = text[:i]
	}
	if quoted := strconv.Quote(short); len(short) == len(text) {
		return quoted
	} else {
		return quoted + "..."
	}
}

// Cut returns an error that wraps err and whose text is a quotation of that of err: for what code of others says about a text of
// others, which it may repeat.
func Cut(err error) error { return Replace(err, Quote(err.Error())) }

// Replace returns an error that wraps err and has that text.
func Replace(err error, text string) error { return replaced{err, text} }

// Without returns an error that wraps err and whose text has neither of texts in it, but shown in place of each. If there is
// none it returns err.
func Without(err error, shown string, texts ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, t := range texts {
		if t == "" {
			continue
		}
		text = strings.ReplaceAll(text, t, shown)
		if quoted := strconv.Quote(t); len(quoted) != len(t)+2 {
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], shown)
		}
	}
	if text == err.Error() {
		return err
	}
	return Replace(err, text)
}

// Panicked describes what code of others has panicked with.
func Panicked(v any) string { return fmt.Sprintf("a %T, %s", v, Quote(fmt.Sprint(v))) }

// A replaced is an error with another text.
type replaced struct {
	err  error
	text string
}

func (r replaced) Error() string { return r.text }

func (r replaced) Unwrap() error { return r.err }

// Visible returns text with an escape in the place of each byte and character that a terminal or a reader of the log may take for
// something else: control characters, those that change the direction of text, ends of lines and paragraphs, and what is not
// UTF-8. Almost all texts have none, and are returned as they are.
func Visible(text string) string {
	i := firstInvisible(text)
	if i < 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(text[:i])
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case isInvisible(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}

func firstInvisible(text string) int {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || isInvisible(r) {
			return i
		}
		i += size
	}
	return -1
}

// isInvisible reports whether r is a character of Unicode's classes Cc, Cf, Zl or Zp: control characters, marks of direction and
// other formats, the tags, and separators of lines and paragraphs.
func isInvisible(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
