package keyenc_test

import (
	"testing"

	"github.com/cacheutils/cacheutils/internal/keyenc"
)

func localInt() any {
	type row struct{ ID int }
	return row{1}
}

func localInt64() any {
	type row struct{ ID int64 }
	return row{1}
}

func localIn[T any]() any {
	type row struct {
		ID   int
		Hide T `cachekey:"-"`
	}
	return row{ID: 1}
}

func localInOther[T any]() any {
	type row struct {
		ID   int
		Hide T `cachekey:"-"`
	}
	return row{ID: 1}
}

type pair[T any] struct{ Value T }

func pairOf[T any](value T) any { return pair[T]{value} }

// Values behind interfaces are told apart if their types are declared with one name in two functions.
func TestAppend_LocalTypes(t *testing.T) {
	type row struct{ ID int }
	mine := row{1}
	other := func() any {
		type row struct{ ID int }
		return []row{{1}}
	}
	texts := make(map[string]int)
	for i, v := range []any{
		mine, localInt(), localInt64(), &mine, []row{mine}, other(), map[string]row{"a": mine}, pair[row]{mine}, pairOf([]row{mine}),
		localIn[int](), localIn[string](), localInOther[int](), localIn[row](), struct{ R any }{localInt()}, struct{ R any }{localInt64()},
		struct{ R row }{mine}, [1]any{localInt()}, [1]any{localInt64()},
	} {
		text, err := keyenc.Append(nil, v)
		if err != nil {
			t.Errorf("value %d: %v", i, err)
		}
		if first, ok := texts[string(text)]; ok {
			t.Errorf("values %d and %d: both are %s", first, i, text)
		}
		texts[string(text)] = i
	}
}
