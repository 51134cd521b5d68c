package memcached

import (
	"slices"
	"testing"
)

// Removals come out in the order in which they came in, and one that has taken another's place stays.
func TestQueue(t *testing.T) {
	var q queue
	for _, key := range []string{"c", "a", "b", "a"} {
		q.add(&removal{key})
	}
	if got, want := q.keys(), []string{"c", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	under := q.first()
	q.add(&removal{"c"})
	q.remove(under)
	if q.first().key != "c" || q.len() != 3 {
		t.Errorf("the second removal of a key is lost: %q", q.keys())
	}
	var got []string
	for r := q.first(); r != nil; r = q.first() {
		got = append(got, r.key)
		q.remove(r)
	}
	if want := []string{"c", "a", "b"}; !slices.Equal(got, want) || q.len() != 0 || q.has("a") {
		t.Errorf("got %q, want %q", got, want)
	}
}
