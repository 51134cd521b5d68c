package report

import "testing"

func TestReplace(t *testing.T) {
	const doc = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"
	got, err := Replace(doc, "a", "new\n")
	if want := "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if text := Between(got, "a"); text != "\nnew\n" {
		t.Errorf("between: %q", text)
	}
	for _, wrong := range []string{"", "<!-- a -->", "<!-- /a --><!-- a -->"} {
		if got, err := Replace(wrong, "a", "new"); err == nil {
			t.Errorf("%q became %q", wrong, got)
		}
	}
}

func TestName(t *testing.T) {
	for module, want := range map[string]string{
		"github.com/maypok86/otter/v2": "maypok86/otter",
		"github.com/viccon/sturdyc":    "viccon/sturdyc",
	} {
		if got := Name(module); got != want {
			t.Errorf("%s: got %s", module, got)
		}
	}
}
