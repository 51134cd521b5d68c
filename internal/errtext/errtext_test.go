package errtext

import (
	"errors"
	"fmt"
	"testing"
)

func TestBare(t *testing.T) {
	sentinel := errors.New("cacheutils: no cached value")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a package's", sentinel, "no cached value"},
		{"one that wraps it", fmt.Errorf("backends: %w", sentinel), "no cached value"},
		{"a name further on stays", fmt.Errorf("backends: get %q: %w", "k", sentinel), `get "k": cacheutils: no cached value`},
		{"none", errors.New("backends are out of order: all"), "backends are out of order: all"},
		{"a name alone", errors.New("backends"), "backends"},
		{"joined", errors.Join(errors.New("backends: a"), sentinel), "a\nno cached value"},
	} {
		got := Bare(c.err)
		if got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if Bare(nil) != nil {
		t.Error("nil has become an error")
	}
}
