package codec

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cacheutils/cacheutils"
)

// What this process doesn't know is told apart from what is damaged.
func TestErrUnknownType(t *testing.T) {
	into := reflect.TypeFor[struct{ V any }]()
	for _, test := range []struct {
		name    string
		data    []byte
		unknown bool
	}{
		{"type of another process", []byte{tagOther, 1, 2, 3, 4, 5, 6, 7, 8}, true},
		{"cut off", []byte{tagOther, 1, 2, 3}, false},
		{"unknown tag", []byte{200}, false},
	} {
		_, err := decode(into, test.data)
		if !errors.Is(err, cacheutils.ErrUndecodable) || errors.Is(err, ErrUnknownType) != test.unknown {
			t.Errorf("%s: got %v, which matches ErrUnknownType: %v, want %v", test.name, err, !test.unknown, test.unknown)
		}
	}
}

// Types that are likely to be behind interfaces are known before there is a value of them, once there is an interface.
func TestExpect(t *testing.T) {
	type part struct{ A int }
	type whole struct{ Parts map[string]part }
	type other struct {
		Next *other
		V    any
	}
	Expect(reflect.TypeFor[whole]())
	Expect(reflect.TypeFor[*other]())
	Expect(reflect.TypeFor[*other]())
	Expect(reflect.TypeFor[struct{ F func(part) }]())
	for _, rt := range []reflect.Type{
		reflect.TypeFor[part](), reflect.TypeFor[*part](), reflect.TypeFor[[]part](), reflect.TypeFor[[]*part](),
		reflect.TypeFor[map[string]*whole](), reflect.TypeFor[other](), reflect.TypeFor[map[string]other](),
		reflect.TypeFor[[]string](), reflect.TypeFor[map[string]string](), reflect.TypeFor[[]float64](), reflect.TypeFor[*int](),
	} {
		if known, ok := program.byType.Load(rt); !ok {
			t.Errorf("%v is not known", rt)
		} else if found, ok := Lookup(known.(*Type).Fingerprint()); !ok || found.rtype != rt {
			t.Errorf("%v is not found", rt)
		}
	}
}
