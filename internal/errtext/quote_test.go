package errtext_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

func TestQuote(t *testing.T) {
	forty := strings.Repeat("x", 40)
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", `""`},
		{"a short text", `a "b"` + "\n\x1b\u202e", `"a \"b\"\n\x1b\u202e"`},
		{"40 bytes", forty, `"` + forty + `"`},
		{"41 bytes", forty + "y", `"` + forty + `"...`},
		{"a megabyte", strings.Repeat("x", 1<<20), `"` + forty + `"...`},
		{"a character of two bytes that ends at the bound", forty[:38] + "éy", `"` + forty[:38] + `é"...`},
		{"one across the bound", forty[:39] + "éy", `"` + forty[:39] + `"...`},
		{"one of four bytes across the bound", forty[:37] + "\U0001f600y", `"` + forty[:37] + `"...`},
		{"what is no UTF-8", strings.Repeat("\x80", 41), `""...`},
		{"the key of a function", "[cached]login(('hunter2',))", `""...`},
		{"one with a prefix", "shop:1:[cached]login(('hunter2',))", `"shop:1:"...`},
		{"one at the bound", forty[:39] + "[cached]login(('hunter2',))", `"` + forty[:39] + `"...`},
		{"one behind the bound", forty + "[cached]login(('hunter2',))", `"` + forty + `"...`},
	} {
		if got := errtext.Quote(c.text); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// What code of others says is cut and quoted, and the error is still what it was.
func TestCut(t *testing.T) {
	err := errtext.Cut(fmt.Errorf("\x1b[31m%s: %w", strings.Repeat("x", 100), io.ErrUnexpectedEOF))
	if want := `"\x1b[31m` + strings.Repeat("x", 35) + `"...`; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v doesn't match what it wraps", err)
	}
	if got, want := errtext.Panicked(errors.New(strings.Repeat("x", 41))), `a *errors.errorString, "`+strings.Repeat("x", 40)+`"...`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWithout(t *testing.T) {
	err := fmt.Errorf(`get "k\n1" of k`+"\n1, %w", io.EOF)
	got := errtext.Without(err, "(the key)", "", "k\n1")
	if want := `get "(the key)" of (the key), EOF`; got.Error() != want || !errors.Is(got, io.EOF) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := errtext.Without(err, "(the key)", "another"); got != err {
		t.Errorf("got %v, want the error as it was", got)
	}
	if got := errtext.Without(nil, "(the key)", "k"); got != nil {
		t.Errorf("got %v of nil", got)
	}
}

// Each kind of what a terminal or a reader may take for something else is escaped, where it begins the text, ends it and
// stands in it.
func TestVisible(t *testing.T) {
	for what, c := range map[string]struct{ in, want string }{
		"a control character of ASCII":    {"\x1b", `\x1b`},
		"the end of a line":               {"\n", `\n`},
		"DEL":                             {"\x7f", `\x7f`},
		"a control character behind it":   {"\u009b", `\u009b`},
		"a change of direction":           {"\u202e", `\u202e`},
		"what has no width":               {"\u200b", `\u200b`},
		"a tag":                           {"\U000e0041", `\U000e0041`},
		"a separator of lines":            {"\u2028", `\u2028`},
		"a separator of paragraphs":       {"\u2029", `\u2029`},
		"a byte that is no UTF-8":         {"\xff", `\xff`},
		"a character that is cut":         {"\xe2\x82", `\xe2\x82`},
		"the character for what is wrong": {"\ufffd", "\ufffd"},
		"what can be seen":                {`é€😀 "'\`, `é€😀 "'\`},
	} {
		for _, around := range [][2]string{{"", ""}, {"a", ""}, {"", "b"}, {"città ", "\u00e9 b"}, {"\x00", "\x00"}} {
			want := strings.ReplaceAll(around[0]+c.want+around[1], "\x00", `\x00`)
			if got := errtext.Visible(around[0] + c.in + around[1]); got != want {
				t.Errorf("%s: got %s, want %s", what, got, want)
			}
		}
	}
}

func TestWrongGroups(t *testing.T) {
	names := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint("g", i))
		}
		return names
	}
	for _, c := range []struct {
		name  string
		names []string
		want  string
	}{
		{"none", nil, ""},
		{"as many as there may be", names(3), ""},
		{"some of them twice", append(names(3), names(3)...), ""},
		{"one more", names(4), "Group: 4 groups, and there may be 3"},
		{"one more, and some twice", append(names(4), names(2)...), "Group: 4 groups, and there may be 3"},
		{"one without a name", []string{"g", ""}, "Group: the name of a group is empty"},
		{"one without a name among too many", append(names(4), ""), "Group: the name of a group is empty"},
	} {
		if got := errtext.WrongGroups("Group", c.names, 3); got != c.want && (c.want == "" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
