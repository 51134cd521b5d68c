package decorators_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// counter returns a function and the number of its runs.
func counter() (fn func(int) int, runs *int) {
	runs = new(int)
	return func(n int) int { *runs++; return n }, runs
}

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend time.Duration
		opts    []decorators.Option
		after   []time.Duration // when it is called again
		runs    int
	}{
		{"backend's default of 300 s", 0, nil, []time.Duration{299 * time.Second, 2 * time.Second}, 2},
		{"backend's own", time.Hour, nil, []time.Duration{59 * time.Minute, 2 * time.Minute}, 2},
		{"backend's never", cacheutils.Forever, nil, []time.Duration{20 * time.Hour}, 1},
		{"given", 0, []decorators.Option{decorators.Timeout(time.Minute)}, []time.Duration{59 * time.Second, 2 * time.Second}, 2},
		{"zero", 0, []decorators.Option{decorators.Timeout(0)}, []time.Duration{0, 0}, 3},
		{"negative", 0, []decorators.Option{decorators.Timeout(-time.Second)}, []time.Duration{0, 0}, 3},
		{"sub-second", 0, []decorators.Option{decorators.Timeout(500 * time.Millisecond)}, []time.Duration{499 * time.Millisecond, 2 * time.Millisecond}, 2},
		{"never", 0, []decorators.Option{decorators.Timeout(cacheutils.Forever)}, []time.Duration{20 * time.Hour}, 1},
		{"forty days", 0, []decorators.Option{decorators.Timeout(40 * 24 * time.Hour)}, []time.Duration{20 * time.Hour}, 1},
		{"fifty years", 0, []decorators.Option{decorators.Timeout(50 * 365 * 24 * time.Hour)}, []time.Duration{20 * time.Hour}, 1},
		{"from the result", 0, []decorators.Option{decorators.TimeoutOf(func(n int) time.Duration { return time.Duration(n) * time.Second })},
			[]time.Duration{4 * time.Second, 2 * time.Second}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}, Timeout: c.backend}})
				fn, runs := counter()
				F, _ := decorators.Cached(fn, append(c.opts, decorators.Key("timeout"))...)
				F(5)
				for _, d := range c.after {
					time.Sleep(d)
					F(5)
				}
				if *runs != c.runs {
					t.Errorf("%d runs, want %d", *runs, c.runs)
				}
			})
		})
	}
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		fn, runs := counter()
		F, _ := decorators.Cached(fn, decorators.Key("jitter"), decorators.Timeout(1000*time.Second), decorators.Jitter(0.5))
		const n = 200
		all := func() {
			for i := range n {
				F(i)
			}
		}
		all()
		time.Sleep(499 * time.Second)
		all()
		if *runs != n {
			t.Errorf("%d of %d expired before half of their timeout", *runs-n, n)
		}
		time.Sleep(251 * time.Second)
		all()
		if expired := *runs - n; expired < n/4 || expired > 3*n/4 {
			t.Errorf("%d of %d expired in the first half of the spread, want about half", expired, n)
		}
	})
}

func TestUnlessAndCacheNil(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		fn, runs := counter()
		F, _ := decorators.Cached(fn, decorators.Key("unless"), decorators.Unless(func(n int) bool { return n < 0 }))
		for range 3 {
			F(1)
			F(-1)
		}
		if *runs != 4 {
			t.Errorf("Unless: %d runs, want 1 for 1 and 3 for -1", *runs)
		}
		nils := 0
		nilOf := func() map[string]int { nils++; return nil }
		N, _ := decorators.Cached(nilOf, decorators.Key("nil"))
		N()
		N()
		if nils != 2 {
			t.Errorf("a nil was cached without CacheNil: %d runs", nils)
		}
		C, h := decorators.Cached(nilOf, decorators.Key("nil2"), decorators.CacheNil())
		C()
		if m := C(); m != nil || nils != 3 {
			t.Errorf("CacheNil: got %v after %d runs, want nil after 3", m, nils)
		}
		if m := h.RequireCache(); m != nil {
			t.Errorf("RequireCache: got %v", m)
		}
	})
}

func TestKeyOptions(t *testing.T) {
	cachetest.Locmem(t)
	type db struct{ conn chan int }
	fn := func(ctx context.Context, d *db, id int, lang string) (string, error) { return lang, nil }
	ctx := context.Background()
	for _, c := range []struct {
		name string
		opts []decorators.Option
		want string
	}{
		{"Ignore", []decorators.Option{decorators.Ignore[*db]()}, "[cached]k((1,'it'))"},
		{"KeyOf one value", []decorators.Option{decorators.KeyOf(func(_ context.Context, _ *db, id int, _ string) int { return id })}, "[cached]k((1,))"},
		{"KeyOf several values", []decorators.Option{decorators.KeyOf(func(_ context.Context, _ *db, id int, lang string) (string, int) { return lang, id })}, "[cached]k(('it',1))"},
		{"KeyOf a tuple", []decorators.Option{decorators.KeyOf(func(_ context.Context, _ *db, id int, lang string) cachekey.Tuple {
			return cachekey.Tuple{lang, id, int64(2)}
		})}, "[cached]k(('it',1,int64(2)))"},
		{"Hashed", []decorators.Option{decorators.Ignore[*db](), decorators.Hashed()}, "5f9a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := decorators.Cached(fn, append(c.opts, decorators.Key("k"))...)
			got := key(t, h, ctx, &db{}, 1, "it")
			if c.name == "Hashed" {
				if len(got) != 64 || strings.Trim(got, "0123456789abcdef") != "" {
					t.Errorf("got %s, want a sha256 in hex", got)
				}
				return
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// The limit of 250 bytes counts prefix and version, and a shortened key keeps a
// readable head.
func TestLongKeys(t *testing.T) {
	server := cachetest.Memcached(t)
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "memcached", Location: []string{server.Addr()}, KeyPrefix: "prefix", Version: "12",
	}})
	runs := 0
	F, h := decorators.Cached(func(s string) string { runs++; return s }, decorators.Key("long"))
	for _, unit := range []string{"x", "й", "😀", " "} {
		for n := 200; n < 260; n += 7 {
			s := strings.Repeat(unit, n)
			F(s)
			if got := F(s); got != s {
				t.Fatalf("got another value for %d times %q", n, unit)
			}
			k := key(t, h, s)
			if stored := "prefix:12:" + k; len(stored) > 250 || !strings.HasPrefix(k, "[cached]long(('") {
				t.Errorf("key is %q with %d bytes", stored, len(stored))
			}
		}
	}
	if want := 4 * 9; runs != want || h.Stats().Errors != 0 {
		t.Errorf("%d runs, want %d; %+v", runs, want, h.Stats())
	}
}

func TestRegistration(t *testing.T) {
	cachetest.Locmem(t)
	var sink recorder
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	a, b := adder(1), adder(2)
	decorators.Cached(a)
	decorators.Cached(a)
	if n := len(sink.events()); n != 0 {
		t.Errorf("decorating the same function twice logged %d events", n)
	}
	for _, closure := range []func(int) int{b, adder(3)} {
		text := panicText(func() { decorators.Cached(closure) })
		if strings.Count(text, "option_test.go:") != 3 || !strings.Contains(text, "decorators.Key") || !strings.Contains(text, "decorators.Instance") {
			t.Errorf("another closure of the factory: the panic names not both places and what to add: %s", text)
		}
	}
	if n := len(sink.events()); n != 0 {
		t.Errorf("logged %d events", n)
	}
}

func TestCheckNamesFunctions(t *testing.T) {
	cachetest.Locmem(t)
	decorators.Cached(func() int { return 1 }, decorators.Key("needs.elsewhere"), decorators.Backend("elsewhere"))
	if err := backends.Configure(nil); err != nil {
		t.Errorf("Configure: got %v, want none: the settings are right", err)
	}
	err := backends.Check()
	if !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), "needs.elsewhere") || !strings.Contains(err.Error(), "option_test.go:") {
		t.Errorf("got %v, want an error that names the function and where it was decorated", err)
	}
	forgotten(t, "needs.elsewhere")
	if err := backends.Check(); err != nil {
		t.Error(err)
	}
}

// A function that can't be called any more is forgotten, so that closures made for each instance don't pile up.
func TestForgottenFunctions(t *testing.T) {
	cachetest.Locmem(t)
	for i := range 100 {
		F, _ := decorators.Cached(adder(i), decorators.Key(fmt.Sprint("instance.", i)))
		if !known("instance.") {
			t.Fatalf("function %d is not known while it can be called", i)
		}
		F(1)
	}
	forgotten(t, "instance.")
}

// forgotten waits until no function whose name begins with prefix is known any more.
func forgotten(t *testing.T, prefix string) {
	t.Helper()
	eventually(t, prefix+"... is forgotten", func() bool {
		runtime.GC()
		return !known(prefix)
	})
}

// known reports whether a function is known whose name begins with prefix.
func known(prefix string) bool {
	return slices.ContainsFunc(registered.Functions(nil), func(f registered.Function) bool { return strings.HasPrefix(f.Name, prefix) })
}

// An entry follows the configuration that is in force when the call is made.
func TestReconfigure(t *testing.T) {
	fn, runs := counter()
	F, _ := decorators.Cached(fn, decorators.Key("reconfigure"))
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{"one"}}})
	F(1)
	F(1)
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{"two"}}})
	F(1)
	if *runs != 2 {
		t.Errorf("%d runs, want one for each store", *runs)
	}
	// The same store under a new configuration keeps its entries.
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{"two"}, Timeout: time.Hour}})
	F(1)
	if *runs != 2 {
		t.Errorf("%d runs: the store that both configurations name was lost", *runs)
	}
}

func TestReconfigureUnderLoad(t *testing.T) {
	F, _ := decorators.Cached(func(ctx context.Context, n int) (string, error) { return fmt.Sprint(n), nil }, decorators.Key("load"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if got, err := F(context.Background(), n%50); err != nil || got != fmt.Sprint(n%50) {
					t.Errorf("F(%d) = %q, %v", n%50, got, err)
				}
			}
		})
	}
	for i := range 50 {
		cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{fmt.Sprint(t.Name(), i%2)}}})
	}
	close(stop)
	wg.Wait()
}

// recorder is a sink that keeps what it gets.
type recorder struct {
	mu   sync.Mutex
	list []logging.Event
	off  logging.Level // events below are not wanted
}

func (r *recorder) Enabled(l logging.Level) bool { return l >= r.off }

func (r *recorder) Log(l logging.Level, e logging.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

func (r *recorder) events() []logging.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]logging.Event(nil), r.list...)
}

func TestLogging(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var sink recorder
		logging.SetSink(&sink)
		defer logging.SetSink(nil)
		F, h := decorators.Cached(func(n int) []int { return []int{n} }, decorators.Key("logged"))
		F(1)
		F(1)
		h.Invalidate(1)
		var got []string
		for _, e := range sink.events() {
			got = append(got, fmt.Sprintf("%s %s %v", e.Action, e.Key, e.Size > 0))
		}
		want := "[MISS [cached]logged((1,)) false SET [cached]logged((1,)) true HIT [cached]logged((1,)) false DELETE [cached]logged((1,)) false]"
		if fmt.Sprint(got) != want {
			t.Errorf("got %v\nwant %s", got, want)
		}
	})
}
