package codec

//lint:file-ignore U1000 some fields are there for reflection to find

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
)

type (
	// message is as generated ones are: marshaling it leaves a trace in it.
	message struct {
		Name string
		Tags []string
		size int
	}

	// wrapped has the methods that message lacks, but for Equal.
	wrapped struct{ Msg *message }

	// wrappedWithEqual has that, too.
	wrappedWithEqual struct{ Msg *message }

	// salted marshals to other bytes each time, and keeps them.
	salted struct{ salt int }

	// emptied is never nil when it has been unmarshaled.
	emptied struct {
		M    map[string]bool
		note *int
	}

	// forgetful leaves Note out, and address leaves Port out where there is no Host.
	forgetful struct {
		Name, Note string
		hidden     int
	}
	address struct {
		Host, Port string
		hidden     int
	}

	// strict has no zero value, and panicky panics for it.
	strict  struct{ n int }
	panicky struct{ n *int }
)

func (m *message) marshal() ([]byte, error) {
	b, err := json.Marshal(m)
	m.size = len(b)
	return b, err
}

func (w wrapped) MarshalBinary() ([]byte, error) {
	if w.Msg == nil {
		return []byte("{}"), nil
	}
	return w.Msg.marshal()
}

func (w *wrapped) UnmarshalBinary(b []byte) error {
	w.Msg = new(message)
	return json.Unmarshal(b, w.Msg)
}

func (w wrappedWithEqual) MarshalBinary() ([]byte, error) { return wrapped(w).MarshalBinary() }

func (w *wrappedWithEqual) UnmarshalBinary(b []byte) error { return (*wrapped)(w).UnmarshalBinary(b) }

func (w wrappedWithEqual) Equal(other wrappedWithEqual) bool {
	return w.Msg != nil && other.Msg != nil && w.Msg.Name == other.Msg.Name
}

func (f forgetful) MarshalBinary() ([]byte, error)     { return []byte(f.Name), nil }
func (f *forgetful) UnmarshalBinary(data []byte) error { f.Name = string(data); return nil }

func (a address) MarshalText() ([]byte, error) {
	if a.Host == "" {
		return nil, nil
	}
	return []byte(a.Host + ":" + a.Port), nil
}

func (a *address) UnmarshalText(b []byte) error {
	a.Host, a.Port, _ = strings.Cut(string(b), ":")
	return nil
}

var salt int

func (s salted) MarshalBinary() ([]byte, error)  { salt++; return []byte{byte(salt)}, nil }
func (s *salted) UnmarshalBinary(b []byte) error { s.salt = int(b[0]); return nil }

func (e emptied) MarshalBinary() ([]byte, error) { return json.Marshal(e.M) }

func (e *emptied) UnmarshalBinary(b []byte) error {
	e.M = make(map[string]bool)
	return json.Unmarshal(b, &e.M)
}

func (s strict) MarshalBinary() ([]byte, error)   { return nil, errors.New("it is zero") }
func (s *strict) UnmarshalBinary(b []byte) error  { return nil }
func (p panicky) MarshalBinary() ([]byte, error)  { return []byte{byte(*p.n)}, nil }
func (p *panicky) UnmarshalBinary(b []byte) error { *p.n = int(b[0]); return nil }

// A type is refused before its first value is there where its own methods keep none.
func TestErr_TriedMarshalers(t *testing.T) {
	const (
		loses = "its marshaler loses a part of each value; if that doesn't matter, give the type a method Equal"
		lost  = "as a map's key it is told apart by an address, or by what its encoding leaves out, so that it would not be found again"
	)
	type priced struct{ Of decimal }
	for _, test := range []struct {
		name string
		of   any
		want string
	}{
		{"message without Equal", wrapped{}, "type codec.wrapped: " + loses},
		{"inside of others", struct{ Of map[string][]*wrapped }{}, "field struct { Of map[string][]*codec.wrapped }.Of[][] of type codec.wrapped: " + loses},
		{"message with Equal", wrappedWithEqual{}, ""},
		{"other bytes each time", salted{}, "type codec.salted: " + loses},
		{"a field left out", forgetful{}, "type codec.forgetful: its marshaler loses the field Note; if that doesn't matter, give the type a method Equal"},
		{"a field that is nothing by itself", address{}, ""},
		{"nil becomes empty", emptied{}, ""},
		{"no zero value", strict{}, ""},
		{"panics for a zero value", panicky{}, ""},
		{"no pair of exported fields, as regexp.Regexp", regexp.Regexp{}, ""},
		{"url.URL, whose String loses some values", url.URL{}, ""},
		{"big numbers", struct {
			A big.Int
			B *big.Rat
			C big.Float
		}{}, ""},
		{"key with an address", map[decimal]int{}, "type codec.decimal: " + lost},
		{"key with one in a struct", struct{ M map[priced]int }{}, "field struct { M map[codec.priced]int }.M[key] of type codec.priced: " + lost},
		{"key in a key's value", map[string]map[decimal]int{}, "type codec.decimal: " + lost},
		{"the same as a value", map[string]decimal{}, ""},
		{"key with an address that is the same again", map[currency]int{}, ""},
		{"key with more than ==", map[memo]int{}, ""},
		{"unique", map[brand]int{}, ""},
		{"any key", map[any]int{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				got := ""
				if err := Of(reflect.TypeOf(test.of)).Err(); err != nil {
					got = err.Error()
					if !errors.Is(err, cacheutils.ErrUnsupportedValue) {
						t.Error("it doesn't match ErrUnsupportedValue")
					}
				}
				if d := cmp.Diff(test.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
