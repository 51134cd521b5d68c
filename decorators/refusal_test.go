package decorators_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils/decorators"
)

type (
	// entity is as an ORM generates it.
	entity struct {
		entityConfig `json:"-"`
		ID           int
		selectValues map[string]any
	}
	entityConfig struct{ driver any }

	// pbMessage is as protoc generates it.
	pbMessage struct {
		state pbState
		Name  string
		size  int32
	}
	pbState struct {
		_    [0]func()
		info *int
	}

	// pbWrapper has the methods of a marshaler, but for Equal.
	pbWrapper struct{ Msg *pbMessage }

	price struct{ n *big.Int }

	incomparable struct {
		noCmp [0]func()
		A     int
	}
)

func (*pbMessage) ProtoReflect() any { return nil }

func (w pbWrapper) MarshalBinary() ([]byte, error) {
	if w.Msg == nil {
		return []byte("{}"), nil
	}
	w.Msg.size++
	return json.Marshal(w.Msg)
}

func (w *pbWrapper) UnmarshalBinary(b []byte) error {
	w.Msg = new(pbMessage)
	return json.Unmarshal(b, w.Msg)
}

func (p price) MarshalText() ([]byte, error) {
	if p.n == nil {
		return []byte("0"), nil
	}
	return p.n.MarshalText()
}

func (p *price) UnmarshalText(b []byte) error {
	p.n = new(big.Int)
	return p.n.UnmarshalText(b)
}

// What Cached says of results that can't be cached: which, where, and what can be done.
func TestLaw8_RefusalTexts(t *testing.T) {
	const (
		memory = "; or say Shared() and use a backend in this process's memory"
		hidden = "an unexported field of a type that has no marshaler; export it, give the type MarshalBinary and UnmarshalBinary, " +
			"or have a codec encode it: codecs.Register, or the option Codec" + memory
		key = "as a map's key it is told apart by an address, or by what its encoding leaves out, so that it would not be found again"
	)
	type ctx = context.Context
	set := newSet(t, nil)
	for _, test := range []struct {
		name string
		fn   any
		want string
	}{
		{"entity", func(ctx, int) (*entity, error) { return nil, nil },
			"(*decorators_test.entity) can't be cached: field decorators_test.entity.selectValues of type map[string]interface {}: " + hidden},
		{"message", func(ctx, int) (*pbMessage, error) { return nil, nil },
			"(*decorators_test.pbMessage) can't be cached: type decorators_test.pbMessage: a protobuf message; " +
				`import _ "github.com/cacheutils/cacheutils/codecs/protobuf" in the package that decorates the function` + memory},
		{"message beneath", func(ctx, int) ([]struct{ M *pbMessage }, error) { return nil, nil },
			"field struct { M *decorators_test.pbMessage }.M of type decorators_test.pbMessage: a protobuf message; " +
				`import _ "github.com/cacheutils/cacheutils/codecs/protobuf" in the package that decorates the function` + memory},
		{"marshaler of a message", func(ctx, int) (pbWrapper, error) { return pbWrapper{}, nil },
			"(decorators_test.pbWrapper) can't be cached: type decorators_test.pbWrapper: its marshaler loses a part of each value; " +
				"if that doesn't matter, give the type a method Equal" + memory},
		{"interface", func(ctx, int) (fmt.Stringer, error) { return nil, nil },
			"(fmt.Stringer) can't be cached: type fmt.Stringer: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec" + memory},
		{"second result", func(ctx, int) (int, net.Conn, error) { return 0, nil, nil },
			"(int, net.Conn) can't be cached: result 2: type net.Conn: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec" + memory},
		{"part of the first", func() (map[string]*entity, int) { return nil, 0 },
			"can't be cached: result 1: field decorators_test.entity.selectValues of type map[string]interface {}: " + hidden},
		{"lock", func() *sync.Mutex { return nil },
			"(*sync.Mutex) can't be cached: type sync.Mutex: a copy of it guards nothing; leave it out" + memory},
		{"function", func() (f struct{ F func() }) { return f },
			"field struct { F func() }.F of type func(): a function; leave it out" + memory},
		{"keys", func() (m map[price]int) { return m }, "(map[decorators_test.price]int) can't be cached: type decorators_test.price: " + key + memory},
		//lint:ignore ST1008 as users do
		{"error first", func() (error, string) { return nil, "" },
			"result 1 is an error that isn't last, so it would be cached as a value; return the error last"},
		{"two errors", func() (int, error, error) { return 0, nil, nil },
			"result 2 is an error that isn't last, so it would be cached as a value; return the error last"},
		{"nothing to lose", func() (i incomparable) { return i }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := panicText(func() { decorators.Cached(test.fn, decorators.On(set), decorators.Key("refusal."+test.name)) })
			if test.want == "" && got == "" {
				return
			}
			if !strings.Contains(got, "refusal_test.go:") || !strings.HasPrefix(got, "decorators: ") || test.want == "" || !strings.HasSuffix(got, test.want) {
				t.Errorf("want a text that ends with %q, got %q", test.want, got)
			}
		})
	}
}
