package keyenc_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/test/race"
)

type (
	guarded struct {
		seen map[int]int
		mu   sync.Mutex
	}
	embedding struct {
		sync.RWMutex
		name string
	}
	spun struct {
		data map[string]int
		lock interface {
			Lock()
			Unlock()
		}
	}
	appContext struct {
		context.Context
		user string
	}
	pointerContext struct{ user string }
	contextual     interface {
		context.Context
		User() string
	}
	// guardedKeyer says what of a service stands for it.
	guardedKeyer struct {
		mu   sync.Mutex
		name string
	}
	guardedText struct {
		mu   sync.Mutex
		name string
	}
	message struct {
		id    int
		state *guarded
	}
)

func (*pointerContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*pointerContext) Done() <-chan struct{}       { return nil }
func (*pointerContext) Err() error                  { return nil }
func (*pointerContext) Value(any) any               { return nil }

func (g *guardedKeyer) CacheKey() string { return g.name }

func (g *guardedText) MarshalText() ([]byte, error) { return []byte(g.name), nil }
func (g *guardedText) UnmarshalText(b []byte) error { g.name = string(b); return nil }

func (*message) ProtoReflect() interface{ IsValid() bool } { return nil }

// Types that guard themselves, contexts and protobuf messages are refused wherever they are, by the type alone.
func TestEncoderOf_Refused(t *testing.T) {
	for typ, want := range map[reflect.Type]string{
		reflect.TypeFor[sync.Mutex]():                           "guards itself",
		reflect.TypeFor[*sync.Mutex]():                          "guards itself",
		reflect.TypeFor[sync.RWMutex]():                         "guards itself",
		reflect.TypeFor[sync.Once]():                            "guards itself",
		reflect.TypeFor[sync.WaitGroup]():                       "guards itself",
		reflect.TypeFor[sync.Cond]():                            "guards itself",
		reflect.TypeFor[sync.Pool]():                            "guards itself",
		reflect.TypeFor[sync.Map]():                             "guards itself",
		reflect.TypeFor[sync.Locker]():                          "guards itself",
		reflect.TypeFor[atomic.Bool]():                          "guards itself",
		reflect.TypeFor[atomic.Int32]():                         "guards itself",
		reflect.TypeFor[atomic.Int64]():                         "guards itself",
		reflect.TypeFor[atomic.Uint32]():                        "guards itself",
		reflect.TypeFor[atomic.Uint64]():                        "guards itself",
		reflect.TypeFor[atomic.Uintptr]():                       "guards itself",
		reflect.TypeFor[atomic.Value]():                         "guards itself",
		reflect.TypeFor[atomic.Pointer[city]]():                 "guards itself",
		reflect.TypeFor[box[atomic.Pointer[int]]]():             "value of",
		reflect.TypeFor[map[string]*atomic.Int64]():             "[] of",
		reflect.TypeFor[map[*sync.Once]int]():                   "[key] of",
		reflect.TypeFor[[2][]sync.Mutex]():                      "[][] of",
		reflect.TypeFor[*guarded]():                             "mu of",
		reflect.TypeFor[guarded]():                              "mu of",
		reflect.TypeFor[**guarded]():                            "mu of",
		reflect.TypeFor[embedding]():                            "RWMutex of",
		reflect.TypeFor[*spun]():                                "lock of",
		reflect.TypeFor[struct{ a, b []map[string]*guarded }](): "a[][].mu of",
		reflect.TypeFor[*guardedText]():                         "mu of",
		reflect.TypeFor[slog.LevelVar]():                        "val of",
		reflect.TypeFor[*sql.DB]():                              "guards itself",
		reflect.TypeFor[*os.File]():                             "guards itself",
		reflect.TypeFor[*testing.T]():                           "guards itself",
		reflect.TypeFor[*http.Client]():                         "CheckRedirect",
		reflect.TypeFor[http.Server]():                          "can't be in a key",
		reflect.TypeFor[context.Context]():                      "a context never counts",
		reflect.TypeFor[contextual]():                           "a context never counts",
		reflect.TypeFor[appContext]():                           "a context never counts",
		reflect.TypeFor[*appContext]():                          "a context never counts",
		reflect.TypeFor[pointerContext]():                       "a context never counts",
		reflect.TypeFor[*pointerContext]():                      "a context never counts",
		reflect.TypeFor[struct{ ctx context.Context }]():        "ctx of",
		reflect.TypeFor[[]contextual]():                         "[] of",
		reflect.TypeFor[map[string]*appContext]():               "[] of",
		reflect.TypeFor[struct {
			a [0]func()
			b func()
		}](): "b of",
		reflect.TypeFor[*message]():               "protobuf",
		reflect.TypeFor[struct{ req *message }](): "req of",
	} {
		_, err := keyenc.EncoderOf(typ, nil)
		if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want ErrInvalidKey with %q", typ, err, want)
		}
	}
	// A value that can't be in a key is of such a type behind interfaces, too.
	for name, x := range map[string]any{
		"mutex":          new(sync.Mutex),
		"guarded":        &guarded{},
		"logger":         slog.New(slog.NewTextHandler(os.Stderr, nil)),
		"default logger": slog.Default(),
		"file":           os.Stderr,
		"background":     context.Background(),
		"TODO":           context.TODO(),
		//lint:ignore SA1029 any key will do
		"a context's child": context.WithValue(context.Background(), "key", "value"),
		"own context":       &appContext{},
		"a random source":   rand.New(lockedSource{new(sync.Mutex), nil}),
		"protobuf":          &message{},
		"deep":              []any{map[string]any{"x": struct{ any }{&embedding{}}}},
	} {
		if text, err := keyenc.Append(nil, x); !errors.Is(err, cacheutils.ErrInvalidKey) {
			t.Errorf("%s: got %s, %v, want ErrInvalidKey", name, text, err)
		}
	}
}

type lockedSource struct {
	mu *sync.Mutex
	rand.Source
}

// What is refused can be left out, named by its type, or stand for something by its fields.
func TestEncoderOf_WaysOut(t *testing.T) {
	type tagged struct {
		mu   sync.Mutex      `cachekey:"-"`
		ctx  context.Context `cachekey:"-"`
		done chan int        `cachekey:"-"`
		id   int
	}
	type around struct{ service *guardedKeyer }
	for _, c := range []struct {
		name  string
		p     any
		attrs keyenc.Attrs
		want  string
	}{
		{"tag", &tagged{id: 3}, nil, "tagged{id=3}"},
		{"a mark", &struct {
			noCompare [0]func()
			id        int
		}{id: 3}, nil, "struct{noCompare=[],id=3}"},
		{"Keyer", ptr(&guardedKeyer{name: "eu"}), nil, "keyenc_test.guardedKeyer('eu')"},
		{"Keyer inside", &around{&guardedKeyer{name: "eu"}}, nil, "around{service=keyenc_test.guardedKeyer('eu')}"},
		{"attributes", ptr(&embedding{name: "x"}), keyenc.Attrs{reflect.TypeFor[embedding](): {"name"}}, "embedding{name='x'}"},
		{"attributes of a context", ptr(&appContext{user: "u"}), keyenc.Attrs{reflect.TypeFor[appContext](): {"user"}}, "appContext{user='u'}"},
	} {
		v := reflect.ValueOf(c.p).Elem()
		e, err := keyenc.EncoderOf(v.Type(), c.attrs)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := e.AppendPointer(nil, v.Addr().UnsafePointer()); string(got) != c.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

// What guards itself is never read, not even behind an interface: with -race this shows.
func TestAppend_ReadsNothingGuarded(t *testing.T) {
	g := &guarded{seen: map[int]int{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				g.mu.Lock()
				g.seen[i%100]++
				g.mu.Unlock()
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	for _, x := range []any{g, []any{1, g}, map[string]any{"a": 1, "g": g}, struct{ a, b any }{1, g}, &struct{ g fmtStringer }{g}, &struct {
		seen map[int]int
		lock fmtStringer
	}{g.seen, g}, cachekey.Tuple{g}, g} {
		for range 100 {
			if text, err := keyenc.Append(nil, x); err == nil {
				t.Fatalf("%T is %s", x, text)
			}
		}
	}
}

type fmtStringer interface{ String() string }

func (g *guarded) String() string { return "guarded" }

type (
	// masked hides what it is, and can't be read back.
	masked string
	// redacted hides what it is, and reads that back.
	redacted string
	// folded is lower case as text.
	folded string
	// foldedEqual is folded, and says that this doesn't matter.
	foldedEqual string
	// second has whole seconds as text.
	second struct{ at time.Time }
	// hexBytes are bytes as text.
	hexBytes []byte
	// lossyMap is empty as text.
	lossyMap map[string]int
	// raw is its own text, which it changes when it is read.
	raw []byte
	// level is an enum.
	level int
	// embedsMasked has a promoted text.
	embedsMasked struct {
		masked
		id int
	}
	panicky string
	// identified is equal to all of its id.
	identified struct{ id int }
	// secretive hides a part, and has Equal from what it embeds.
	secretive struct {
		identified
		secret string
	}
	secretivePointer struct {
		*identified
		secret string
	}
	// secretiveEqual says that the part doesn't matter.
	secretiveEqual struct {
		identified
		secret string
	}
	// before hides a part, and its Cmp says only what comes first.
	before struct{ id, secret int }
	// distance hides a part, and its Equal returns a number.
	distance struct{ id, secret int }
)

func (masked) MarshalText() ([]byte, error) { return []byte("[REDACTED]"), nil }
func (masked) String() string               { return "[REDACTED]" }

func (redacted) MarshalText() ([]byte, error)       { return []byte("[REDACTED]"), nil }
func (r *redacted) UnmarshalText(b []byte) error    { *r = redacted(b); return nil }
func (f folded) MarshalText() ([]byte, error)       { return []byte(strings.ToLower(string(f))), nil }
func (f *folded) UnmarshalText(b []byte) error      { *f = folded(b); return nil }
func (f foldedEqual) MarshalText() ([]byte, error)  { return []byte(strings.ToLower(string(f))), nil }
func (f *foldedEqual) UnmarshalText(b []byte) error { *f = foldedEqual(b); return nil }
func (f foldedEqual) Equal(g foldedEqual) bool      { return strings.EqualFold(string(f), string(g)) }

func (s second) MarshalText() ([]byte, error) { return []byte(s.at.UTC().Format(time.RFC3339)), nil }
func (s *second) UnmarshalText(b []byte) (err error) {
	s.at, err = time.Parse(time.RFC3339, string(b))
	return err
}

func (h hexBytes) MarshalText() ([]byte, error)  { return []byte(h), nil }
func (h *hexBytes) UnmarshalText(b []byte) error { *h = append(hexBytes{}, b...); return nil }
func (lossyMap) MarshalText() ([]byte, error)    { return nil, nil }
func (*lossyMap) UnmarshalText([]byte) error     { return nil }
func (r raw) MarshalText() ([]byte, error)       { return r, nil }
func (r *raw) UnmarshalText(b []byte) error {
	*r = append(raw{}, b...)
	clear(b)
	return nil
}
func (l level) MarshalText() ([]byte, error) {
	if l < 0 || l > 1 {
		return nil, errors.New("no such level")
	}
	return []byte{"ab"[l]}, nil
}
func (l *level) UnmarshalText(b []byte) error { *l = level(b[0] - 'a'); return nil }
func (panicky) MarshalText() ([]byte, error)  { return []byte("x"), nil }
func (*panicky) UnmarshalText(b []byte) error { panic("boom") }

func (n identified) number() int                            { return n.id }
func (n identified) text() ([]byte, error)                  { return strconv.AppendInt(nil, int64(n.id), 10), nil }
func (n *identified) read(b []byte) (err error)             { n.id, err = strconv.Atoi(string(b)); return err }
func (n identified) Equal(o interface{ number() int }) bool { return n.id == o.number() }

func (s secretive) MarshalText() ([]byte, error)        { return s.text() }
func (s *secretive) UnmarshalText(b []byte) error       { return s.read(b) }
func (s secretivePointer) MarshalText() ([]byte, error) { return s.text() }
func (s *secretivePointer) UnmarshalText(b []byte) error {
	s.identified = new(identified)
	return s.read(b)
}
func (s secretiveEqual) MarshalText() ([]byte, error)  { return s.text() }
func (s *secretiveEqual) UnmarshalText(b []byte) error { return s.read(b) }
func (s secretiveEqual) Equal(t secretiveEqual) bool   { return s.id == t.id }
func (b before) MarshalText() ([]byte, error)          { return identified{b.id}.text() }
func (b *before) UnmarshalText(text []byte) (err error) {
	b.id, err = strconv.Atoi(string(text))
	return err
}
func (b before) Cmp(c before) bool              { return b.id <= c.id }
func (d distance) MarshalText() ([]byte, error) { return identified{d.id}.text() }
func (d *distance) UnmarshalText(text []byte) (err error) {
	d.id, err = strconv.Atoi(string(text))
	return err
}
func (d distance) Equal(e distance) int { return d.id - e.id }

// A text counts if it gives the value back.
func TestAppend_TextsThatHideAPart(t *testing.T) {
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	prefix := func(s string, bits int) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr(s), bits) }
	for _, c := range []struct {
		name string
		in   any
		want string // "": refused
	}{
		{"masked", masked("alice"), ""},
		{"pointer to masked", ptr(masked("alice")), ""},
		{"masked in a struct", struct{ m masked }{"alice"}, ""},
		{"masked in an array", [1]masked{"alice"}, ""},
		{"masked as a map's key", map[masked]int{"alice": 1}, ""},
		{"masked behind an interface", []any{masked("alice")}, ""},
		{"masked, embedded", embedsMasked{"alice", 1}, ""},
		{"redacted", redacted("alice"), ""},
		{"redacted, what it shows", redacted("[REDACTED]"), "redacted('[REDACTED]')"},
		{"redacted as a map's key", map[redacted]int{"alice": 1}, ""},
		{"folded", folded("it"), "folded('it')"},
		{"folded, capitals", folded("IT"), ""},
		{"folded with Equal", foldedEqual("IT"), "foldedEqual('it')"},
		{"seconds", second{day}, "second('2026-05-01T00:00:00Z')"},
		{"nanoseconds", second{day.Add(1)}, ""},
		{"nil slice", hexBytes(nil), "hexBytes(None)"},
		{"empty slice", hexBytes{}, "hexBytes('')"},
		{"slice", hexBytes("None"), "hexBytes('None')"},
		{"nil map", lossyMap(nil), "lossyMap(None)"},
		{"map", lossyMap{"a": 1}, ""},
		{"its own memory", raw("abc"), "raw('abc')"},
		{"enum", level(1), "level('b')"},
		{"enum, unknown", level(7), ""},
		{"reading panics", panicky("x"), ""},
		{"promoted Equal", secretive{identified{1}, "alice"}, ""},
		{"promoted Equal, nothing hidden", secretive{identified{1}, ""}, "secretive('1')"},
		{"Equal promoted from a pointer", secretivePointer{&identified{1}, "alice"}, ""},
		{"Equal over a promoted one", secretiveEqual{identified{1}, "alice"}, "secretiveEqual('1')"},
		{"Cmp that is not a comparison", before{1, 2}, ""},
		{"Equal that returns a number", distance{1, 2}, ""},
		{"regexp", regexp.MustCompile("a|ab"), "*regexp.Regexp('a|ab')"},
		{"another regexp", regexp.MustCompilePOSIX("a|ab"), ""},
		{"prefix", prefix("10.0.0.0", 8), "net/netip.Prefix('10.0.0.0/8')"},
		{"invalid prefix", prefix("10.0.0.0", 99), ""},
		{"port of no address", netip.AddrPortFrom(netip.Addr{}, 80), ""},
		{"level of slog", slog.LevelWarn + 1, "log/slog.Level('WARN+1')"},
		{"rational", big.NewRat(2, 4), "*math/big.Rat('1/2')"},
		{"float", big.NewFloat(0.1), "*math/big.Float('0.1/53/ToNearestEven')"},
		{"float of another precision", new(big.Float).SetPrec(200).SetFloat64(0.5), "*math/big.Float('0.5/200/ToNearestEven')"},
	} {
		for range 2 {
			text, err := keyenc.Append(nil, c.in)
			got := strings.ReplaceAll(string(text), here, "")
			switch {
			case c.want == "" && !errors.Is(err, cacheutils.ErrInvalidKey):
				t.Errorf("%s: got %s, %v, want ErrInvalidKey", c.name, got, err)
			case c.want != "" && (err != nil || got != c.want):
				t.Errorf("%s: got %s, %v, want %s", c.name, got, err, c.want)
			case err != nil && strings.Contains(err.Error(), "alice"):
				t.Errorf("%s: the error shows what is hidden: %v", c.name, err)
			}
		}
	}
}

// The text of a key is bounded, and what is too long is found out before its memory is spent.
func TestAppend_TooLong(t *testing.T) {
	if race.Enabled {
		t.Skip("much work in one goroutine")
	}
	type node struct{ L, R *node }
	dag := &node{}
	lists, maps, boxed := any("x"), any("x"), any("x")
	for range 40 {
		dag = &node{dag, dag}
		lists, maps, boxed = []any{lists, lists}, map[string]any{"a": maps, "b": maps}, [2]any{boxed, boxed}
	}
	chain := any(strings.Repeat("x", 8<<20))
	for range 9000 {
		chain = map[string]any{"a": chain, "b": 1}
	}
	mega := strings.Repeat("x", 1<<20)
	many := make([]string, 1000)
	fields := make(map[int]string, 1000)
	for i := range many {
		many[i], fields[i] = mega, mega
	}
	secret := cachekey.Secret(mega)
	secrets, byName := make([]any, 1000), make(map[int][]*cachekey.Secret, 1000)
	for i := range secrets {
		secrets[i], byName[i] = map[string]any{"k": secret}, []*cachekey.Secret{&secret}
	}
	for name, x := range map[string]any{
		"a DAG of pointers":   dag,
		"a DAG of lists":      lists,
		"a DAG of maps":       maps,
		"a DAG of arrays":     boxed,
		"a deep chain":        chain,
		"a text":              strings.Repeat("x", 17<<20),
		"a text of escapes":   strings.Repeat("\x01", 16<<20),
		"a text of runes":     strings.Repeat("\u2028", 5<<20),
		"stray bytes":         strings.Repeat("\xff", 8<<20),
		"bytes":               make([]byte, 16<<20),
		"an array of bytes":   new([16 << 20]byte),
		"one text many times": many,
		"one text in a map":   fields,
		"nothing many times":  make([]struct{}, 1<<30),
		"an integer":          new(big.Int).Lsh(big.NewInt(1), 1<<28),
		"a Keyer":             keyed{strings.Repeat("x", 17<<20)},
		"a Secret":            cachekey.Secret(strings.Repeat("x", 17<<20)),
		"one Secret in lists": secrets,
		"one Secret in maps":  byName,
	} {
		var before, after runtimeMemory
		before.read()
		_, err := keyenc.Append(nil, x)
		after.read()
		if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), "longer than 16 MiB") && (name != "a DAG of maps" || !strings.Contains(err.Error(), "more than 262144 maps")) {
			t.Errorf("%s: got %v, want ErrInvalidKey", name, err)
		}
		const bound = 14 * keyenc.MaxText // what grows to that is copied several times
		if spent := after.total - before.total; spent > bound {
			t.Errorf("%s: %d MiB were allocated", name, spent>>20)
		}
	}
	for _, x := range []any{cachekey.Secret(strings.Repeat("x", 15<<20)), secrets[:16], make([]cachekey.Secret, 1<<17), strings.Repeat("x", 15<<20), strings.Repeat("\x01", 3<<20), strings.Repeat("€", 5<<20), make([]byte, 3<<20)} {
		if text, err := keyenc.Append(nil, x); err != nil || len(text) > keyenc.MaxText {
			t.Errorf("%d bytes, %v", len(text), err)
		}
	}
}

// A map's text is put in order where it is, at each level, and what that takes is bounded, too.
func TestAppend_MapsInMaps(t *testing.T) {
	if race.Enabled {
		t.Skip("much work in one goroutine")
	}
	text := strings.Repeat("x", 15<<20)
	for _, levels := range []int{1, 15, 30, 60} {
		x := any(text)
		for range levels {
			x = map[string]any{"b": x, "a": 1, "c": nil}
		}
		var before, after runtimeMemory
		before.read()
		got, err := keyenc.Append(nil, x)
		after.read()
		want := strings.Repeat("{'a':1,'b':", levels) + "'" + text + "'" + strings.Repeat(",'c':None}", levels)
		switch {
		case levels > 20 && err == nil, levels < 20 && (err != nil || string(got) != want):
			t.Errorf("%d levels: %d bytes, %v", levels, len(got), err)
		}
		if spent := after.total - before.total; spent > 12*keyenc.MaxText {
			t.Errorf("%d levels: %d MiB were allocated", levels, spent>>20)
		}
	}
}

// The values of one text have one bound.
func TestAppendWith_Sum(t *testing.T) {
	half := strings.Repeat("x", keyenc.MaxText/2)
	e, err := keyenc.EncoderOf(reflect.TypeFor[string](), nil)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := e.AppendWith([]byte("before"), 6, reflect.ValueOf(half), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AppendWith(begun, 6, reflect.ValueOf(half), nil); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("AppendWith: got %v, want ErrInvalidKey", err)
	}
	if _, err := e.AppendPointerWith(begun, 6, unsafe.Pointer(&half), nil); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("AppendPointerWith: got %v, want ErrInvalidKey", err)
	}
	if _, err := keyenc.AppendWith(begun, 6, half, nil); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("AppendWith of any: got %v, want ErrInvalidKey", err)
	}
	if _, err := keyenc.AppendWith(begun, len(begun), half, nil); err != nil {
		t.Error(err)
	}
}

type runtimeMemory struct{ total uint64 }

func (m *runtimeMemory) read() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.total = stats.TotalAlloc
}
