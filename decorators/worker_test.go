package decorators_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// A setup is a cached function as the workers have it. Options of the backend that are 0 are
// left out.
type setup struct {
	Memcached, Source string
	Key               string // the function's
	Version, Group    string
	Lease             time.Duration
	Timeout, Stale    time.Duration
}

// An order has a worker do something.
type order struct {
	Do      string // call, invalidate, add, or stats, which only reports those
	Setup   setup
	Callers int           // call: goroutines
	At      time.Time     // call: when they start
	For     time.Duration // call: how long each calls again and again; 0: one call each
	Pause   time.Duration // call: between the calls of each
}

// A report is what a worker did.
type report struct {
	Calls []call
	Plain []time.Duration // plain memcached Gets, one after each call that was not the only one
	Stats decorators.Stats
	Added bool
	Err   string
}

type call struct {
	Run   int
	Err   string
	Began time.Time
	Took  time.Duration
}

// A worker is another process, which does one order after the other.
type worker struct {
	*workers.Worker
	t *testing.T
}

func startWorkers(t *testing.T, n int) []worker {
	t.Helper()
	all := make([]worker, n)
	for i := range all {
		all[i] = worker{workers.Start(t, "^TestStampede_Worker$", nil), t}
	}
	return all
}

// send gives the worker an order. What returns waits for the report.
func (w worker) send(o order) (receive func() report) {
	w.t.Helper()
	w.Send(o)
	return func() report {
		w.t.Helper()
		r, err := workers.Receive[report](w.Worker)
		if err != nil {
			w.t.Fatal(err)
		}
		if r.Err != "" {
			w.t.Fatalf("%s: %s", o.Do, r.Err)
		}
		return r
	}
}

// sendAll gives all the same order and a moment at which to start.
func sendAll(all []worker, o order) (receive func() []report) {
	o.At = time.Now().Add(100 * time.Millisecond)
	var each []func() report
	for _, w := range all {
		each = append(each, w.send(o))
	}
	return func() (reports []report) {
		for _, receive := range each {
			reports = append(reports, receive())
		}
		return reports
	}
}

// TestStampede_Worker is what a worker does: one order after the other until there are no more.
func TestStampede_Worker(t *testing.T) {
	if !workers.Job(nil) {
		t.Skip("this is for the processes that the other tests start")
	}
	host := &workerHost{t: t}
	for {
		var o order
		if !workers.Next(&o) {
			return
		}
		r, err := host.do(o)
		if err != nil {
			r.Err = err.Error()
		}
		workers.Reply(r)
	}
}

// A workerHost has what a worker keeps from order to order.
type workerHost struct {
	t     *testing.T
	setup setup
	F     func(context.Context) (int, error)
	h     *decorators.Handle[func(context.Context) (int, error)]
	plain engine.Engine
}

func (w *workerHost) do(o order) (r report, err error) {
	if err := w.use(o.Setup); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch o.Do {
	case "call":
		r = w.call(ctx, o)
	case "invalidate":
		err = w.h.Invalidate(ctx)
	case "add":
		r.Added, err = w.add(ctx)
	}
	r.Stats = w.h.Stats()
	return r, err
}

// use decorates the function as s says.
func (w *workerHost) use(s setup) error {
	if w.setup == s {
		return nil
	}
	w.setup = s
	cachetest.Configure(w.t, backends.Config{"default": s.settings()})
	opts := []decorators.Option{decorators.Key(s.Key), decorators.Timeout(s.Timeout)}
	if s.Group != "" {
		opts = append(opts, decorators.Group(s.Group))
	}
	if s.Stale != 0 {
		opts = append(opts, decorators.Stale(s.Stale))
	}
	w.F, w.h = decorators.Cached(func(context.Context) (int, error) { return askSource(s.Source) }, opts...)
	var err error
	if w.plain, err = memcached.Open(engine.Settings{Location: []string{s.Memcached}}); err != nil {
		return err
	}
	return w.plain.Set(context.Background(), "plain", engine.Item{Value: []byte("value")}, cacheutils.Forever)
}

func (s setup) settings() backends.Settings {
	b := backends.Settings{Backend: "group", Location: []string{s.Memcached}, Version: s.Version,
		// Many processes on few cores must not take a slow answer for a server that is gone.
		Options: map[string]any{"operation_timeout": 5 * time.Second}}
	if s.Lease != 0 {
		b.Options["lease"] = s.Lease
	}
	return b
}

func (w *workerHost) call(ctx context.Context, o order) (r report) {
	time.Sleep(time.Until(o.At))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range o.Callers {
		wg.Go(func() {
			calls, plain := w.caller(ctx, o.For, o.Pause)
			mu.Lock()
			defer mu.Unlock()
			r.Calls = append(r.Calls, calls...)
			r.Plain = append(r.Plain, plain...)
		})
	}
	wg.Wait()
	return r
}

// caller calls once, or for a while, with a plain Get after each call to compare.
func (w *workerHost) caller(ctx context.Context, during, pause time.Duration) (calls []call, plain []time.Duration) {
	for end := time.Now().Add(during); ; time.Sleep(pause) {
		start := time.Now()
		run, err := w.F(ctx)
		c := call{Run: run, Began: start, Took: time.Since(start)}
		if err != nil {
			c.Err = err.Error()
		}
		calls = append(calls, c)
		if during == 0 {
			return calls, nil
		}
		start = time.Now()
		if _, err := w.plain.Get(ctx, "plain"); err == nil {
			plain = append(plain, time.Since(start))
		}
		if time.Now().After(end) {
			return calls, plain
		}
	}
}

// add is the low-level API's add on the function's key.
func (w *workerHost) add(ctx context.Context) (bool, error) {
	text, err := w.h.CacheKey(ctx)
	if err != nil {
		return false, err
	}
	s, key, err := stored(backends.Default(), text, w.setup.Group)
	if err != nil {
		return false, err
	}
	return s.Add(ctx, key, addedRun, time.Hour)
}

const addedRun = 1000

// callsOf returns all calls of the reports, and fails the test for each that returned an error, and
// for a worker that called nothing.
func callsOf(t *testing.T, reports []report) (calls []call, plain []time.Duration) {
	t.Helper()
	for _, r := range reports {
		if len(r.Calls) == 0 {
			t.Fatal("a worker reports no calls")
		}
		for _, c := range r.Calls {
			if c.Err != "" {
				t.Errorf("a call returned the error %s", c.Err)
			}
		}
		calls = append(calls, r.Calls...)
		plain = append(plain, r.Plain...)
	}
	return calls, plain
}
