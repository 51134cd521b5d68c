package keyenc_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/internal/keyenc"
)

type (
	numbered interface{ Number() int }

	// part compares itself by its number with whatever has one.
	part struct{ number int }

	// whole has the Equal of its part, which knows nothing of note.
	whole struct {
		part
		note string
	}

	// ordered has a method that is called Equal and compares as a Cmp does, and one that is called Cmp and compares as an
	// Equal does.
	ordered struct{ number, note int }
)

func (p part) Number() int           { return p.number }
func (p part) Equal(o numbered) bool { return p.number == o.Number() }

func (w whole) MarshalText() ([]byte, error)     { return []byte{'0' + byte(w.number)}, nil }
func (w *whole) UnmarshalText(text []byte) error { w.number = int(text[0] - '0'); return nil }

func (o ordered) Equal(p ordered) int              { return cmp.Compare(o.number, p.number) }
func (o ordered) Cmp(p ordered) bool               { return o.number == p.number }
func (o ordered) MarshalText() ([]byte, error)     { return []byte{'0' + byte(o.number)}, nil }
func (o *ordered) UnmarshalText(text []byte) error { o.number = int(text[0] - '0'); return nil }

// Values whose text leaves a part out have no key unless a method of their own says that the part doesn't matter: one
// that they have only because they embed another type says nothing of the rest, and neither does one that is called Equal
// or Cmp and isn't what Go programs call so.
func TestText_EqualOfAnEmbeddedType(t *testing.T) {
	for _, v := range []any{whole{part{1}, "a"}, whole{part{1}, "b"}, &whole{part{1}, "a"}, ordered{1, 1}, ordered{1, 2}} {
		if text, err := keyenc.Append(nil, v); err == nil || !strings.Contains(err.Error(), "loses a part of it") {
			t.Errorf("%+v is %s, %v; want an error that says that its text loses a part", v, text, err)
		}
	}
}
