package cachekey_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/cachekey"
)

const hunter = "hunter2"

func ExampleSecret() {
	type login struct {
		User     string
		Password cachekey.Secret
	}
	fmt.Println(login{"bob", "hunter2"})
	fmt.Println(cachekey.Repr(cachekey.Secret("hunter2")))
	// Output:
	// {bob Secret(...)}
	// github.com/cacheutils/cacheutils/cachekey.Secret('em4c9EnEqQVfJGwwJNeQpPcYmiludDfWFtY9EZUAmSU') <nil>
}

// Nothing that shows values shows a Secret.
func TestSecret_IsNotShown(t *testing.T) {
	s := cachekey.Secret(hunter)
	type holder struct {
		S    cachekey.Secret
		P    *cachekey.Secret
		List []cachekey.Secret
		Any  any
		Map  map[string]cachekey.Secret
		hid  cachekey.Secret
	}
	h := holder{s, &s, []cachekey.Secret{s}, s, map[string]cachekey.Secret{"k": s}, ""}
	for _, v := range []any{s, &s, h, &h, []any{s}, map[cachekey.Secret]int{s: 1}, [1]cachekey.Secret{s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%.3s", "%t", "%c"} {
			if text := fmt.Sprintf(verb, v); shows(text) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
		for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			if _, isMap := v.(map[cachekey.Secret]int); isMap {
				continue // package json takes the text of a key whose kind is string, whatever its methods
			}
			var out bytes.Buffer
			slog.New(handler(&out)).Info("m", "v", v)
			if shows(out.String()) {
				t.Errorf("slog's %s of %T: %s", name, v, out.String())
			}
			if text, err := json.Marshal(v); err != nil || shows(string(text)) {
				t.Errorf("JSON of %T: %s, %v", v, text, err)
			}
		}
	}
	type element struct {
		S cachekey.Secret `xml:",attr"`
		T cachekey.Secret
	}
	if text, err := xml.Marshal(element{s, s}); err != nil || shows(string(text)) {
		t.Errorf("XML: %s, %v", text, err)
	}
	if text := fmt.Errorf("login of %v: %w", s, errors.New("refused")).Error(); shows(text) {
		t.Error(text)
	}
	if string(s) != hunter {
		t.Error("its text has gone")
	}
	_ = h.hid
}

// shows reports whether text has the secret, plain or in hexadecimal digits.
func shows(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, hunter) || strings.Contains(text, fmt.Sprintf("%x", hunter)) || strings.Contains(text, "hun")
}

// In keys it is its sum, of 43 characters, wherever it stands, and differs where the text does.
func TestSecret_InKeys(t *testing.T) {
	s, other := cachekey.Secret(hunter), cachekey.Secret(hunter+"3")
	type login struct {
		User string
		P    cachekey.Secret
	}
	type embeds struct {
		cachekey.Secret
		N int
	}
	form := regexp.MustCompile(`Secret\('[A-Za-z0-9_-]{43}'\)`)
	for _, pair := range [][2]any{
		{s, other}, {&s, &other}, {login{"bob", s}, login{"bob", other}}, {&login{"bob", s}, &login{"bob", other}},
		{[]cachekey.Secret{s, other}, []cachekey.Secret{s, s}}, {[2]cachekey.Secret{s, other}, [2]cachekey.Secret{s, s}},
		{map[cachekey.Secret]int{s: 1}, map[cachekey.Secret]int{other: 1}}, {map[string]cachekey.Secret{"k": s}, map[string]cachekey.Secret{"k": other}},
		{cachekey.Tuple{s}, cachekey.Tuple{other}}, {[]any{1, s}, []any{1, other}}, {embeds{s, 1}, embeds{other, 1}}, {cachekey.Secret(""), s},
		{s, cachekey.Secret(strings.Repeat(hunter, 100_000))},
	} {
		for _, ways := range []func(any) (string, error){
			cachekey.Repr,
			func(v any) (string, error) { return cachekey.Args([]any{v}, nil) },
			func(v any) (string, error) { return cachekey.Args(nil, cachekey.Kwargs{"v": v}) },
		} {
			a, err := ways(pair[0])
			b, err2 := ways(pair[1])
			if again, _ := ways(pair[0]); err != nil || err2 != nil || a == b || a != again || shows(a+b) || !form.MatchString(a) || !form.MatchString(b) {
				t.Errorf("%T: %s, %v, and %s, %v", pair[0], a, err, b, err2)
			}
		}
	}
	if text, err := cachekey.Repr(hunter); err != nil || text == "" || form.MatchString(text) {
		t.Errorf("a string is %s, %v", text, err)
	}
}

func TestDigest(t *testing.T) {
	a, b := cachekey.Digest("[cached]f(('a',))"), cachekey.Digest("[cached]f(('b',))")
	if a == b || len(a) != 16 || a != cachekey.Digest("[cached]f(('a',))") || strings.Trim(a+b, "0123456789abcdef") != "" {
		t.Errorf("got %s and %s", a, b)
	}
}

func ExampleDigest() {
	fmt.Println(cachekey.Digest("[cached]city((42,'it'))"))
	// Output: b9f64fcd5d73b134
}
