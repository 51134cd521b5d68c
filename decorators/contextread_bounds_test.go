package decorators

import (
	"context"
	"reflect"
	"testing"
)

// readKey returns a key of the ith of many types.
func readKey(i int) any {
	return reflect.New(reflect.ArrayOf(i, reflect.TypeFor[byte]())).Elem().Interface()
}

// What is remembered of context values is bounded, whatever functions look up, and has each of them once.
func TestReads_AreBounded(t *testing.T) {
	const many = 1000
	type key struct{ n int }
	contexts := make([]context.Context, many)
	for i := range contexts {
		contexts[i] = context.WithValue(context.Background(), key{}, i)
	}
	var r reads
	for range 3 {
		r.Found(contexts[0], key{}, 1)
	}
	if len(r.pending) != 1 || !r.arePending() {
		t.Errorf("what is found three times is pending %d times, and %v", len(r.pending), r.arePending())
	}
	for i, by := range contexts {
		r.Found(by, readKey(i), 1)
	}
	if len(r.pending) != maxPendingReads {
		t.Errorf("%d are pending, want %d", len(r.pending), maxPendingReads)
	}
	for _, by := range contexts {
		for _, f := range r.take(by) {
			if f.by != by {
				t.Error("a computation has the values of another")
			}
		}
	}
	if len(r.pending) != 0 || r.arePending() {
		t.Errorf("%d are pending, and %v", len(r.pending), r.arePending())
	}

	for i := range many {
		r.know(key{i})
		r.know(key{i})
	}
	r.know([]int{1}) // can't be compared
	if len(r.known) != maxKnownReads || !r.isSettled(key{0}) || r.isSettled(key{many - 1}) {
		t.Errorf("%d are known to be in the key, want %d", len(r.known), maxKnownReads)
	}

	ignoring := reads{ignored: []reflect.Type{reflect.TypeFor[any]()}}
	for i, by := range contexts {
		ignoring.Found(by, readKey(i), 1)
	}
	if len(ignoring.settled) != maxSettledTypes || len(ignoring.pending) != 0 {
		t.Errorf("%d types are known not to matter, want %d, and %d are pending", len(ignoring.settled), maxSettledTypes, len(ignoring.pending))
	}
}

// A type of a key is another one than a type of the same name, also once that was warned of.
func TestReads_TypesOfOneName(t *testing.T) {
	one, other := func() any { type key struct{}; return key{} }(), func() any { type key struct{}; return key{} }()
	if a, b := reflect.TypeOf(one), reflect.TypeOf(other); a == b || a.String() != b.String() {
		t.Fatalf("%v and %v are not two types of one name", a, b)
	}
	var r reads
	ctx := context.Background()
	for _, key := range []any{one, other} {
		r.Found(ctx, key, 1)
		if found := r.take(ctx); len(found) != 1 || r.warns(key) != 1 || r.warns(key) != 0 {
			t.Errorf("found %d, want one, with one warning", len(found))
		}
		if !r.isSettled(key) {
			t.Error("there was a warning, and it isn't settled")
		}
	}
}
