package decorators_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Law 4 among processes. The test binary starts itself again, several times: those are the
// workers. They share one memcached and call a cached function that asks a source in the
// test's own process, which counts, beside the cache, how often it is asked and whether ever
// twice at once.
//
// Counts don't depend on how fast the machine is: a run may not begin while another is under
// way, nor before the last one's result has expired. Times are compared with plain Gets that
// the same processes did in between. CACHEUTILS_LONG=1 makes more processes and waves, which
// take a minute and a half instead of 20 seconds, and allows less beyond the plain Gets.
//
// D1 to D9 are what the original does wrong here.

func longForm() bool { return os.Getenv("CACHEUTILS_LONG") == "1" }

// pick returns what the form of the test calls for.
func pick[T any](short, long T) T {
	if longForm() {
		return long
	}
	return short
}

// How many times what a plain Get takes, at p99, a call may take. The short form has few calls, and
// the race detector.
var (
	waitRatio  = pick(500, 50) // for a caller who waits, beyond the function's own time and the longest poll
	staleRatio = pick(50, 10)  // at p99, for a caller who is served a stale value
)

// longestPoll is the longest pause of a process between two lookups of another's result.
const longestPoll = 60 * time.Millisecond

// tick is by how much two clocks of one machine, one of them in milliseconds, may differ.
const tick = 5 * time.Millisecond

// A source is what the cached function asks: slow, and counting.
type source struct {
	t    *testing.T
	addr string

	mu    sync.Mutex
	takes time.Duration
	fails bool
	runs  []sourceRun
	now   int // runs under way
	most  int
}

// A sourceRun is one computation, by the source's clock.
type sourceRun struct{ begin, end time.Time }

func newSource(t *testing.T, takes time.Duration) *source {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &source{t: t, addr: l.Addr().String(), takes: takes}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// serve answers with the number of the run, from 1, after the time that it takes. A run of a
// process that has been killed ends when that is.
func (s *source) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	run, begin, takes, fails := len(s.runs)+1, time.Now(), s.takes, s.fails
	s.runs = append(s.runs, sourceRun{begin: begin})
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()

	conn.SetReadDeadline(begin.Add(takes))
	conn.Read(make([]byte, 1))

	s.mu.Lock()
	s.now--
	s.runs[run-1].end = time.Now()
	s.mu.Unlock()
	if fails {
		run = 0
	}
	fmt.Fprintln(conn, run)
}

// askSource is what the cached function does in the workers.
func askSource(addr string) (run int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := fmt.Fscan(bufio.NewReader(conn), &run); err != nil {
		return 0, err
	}
	if run == 0 {
		return 0, errors.New("the source failed")
	}
	return run, nil
}

func (s *source) set(takes time.Duration, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.fails = takes, fails
}

// seen returns the runs so far and how many there were at once.
func (s *source) seen() (runs []sourceRun, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs), s.most
}

// awaitRun returns run n, from 1, once it has begun.
func (s *source) awaitRun(n int) sourceRun {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("run %d", n), func() bool { runs, _ := s.seen(); return len(runs) >= n })
	runs, _ := s.seen()
	return runs[n-1]
}

// check asserts what law 4 says of the runs: one at a time, and none before the result of the
// one before has expired.
func (s *source) check(timeout time.Duration) {
	s.t.Helper()
	runs, most := s.seen()
	if most > 1 {
		s.t.Errorf("%d computations at once", most)
	}
	for i := 1; i < len(runs); i++ {
		if gap := runs[i].begin.Sub(runs[i-1].end); gap < timeout-tick {
			s.t.Errorf("run %d began %v after the end of run %d, whose result is fresh for %v", i+1, gap, i, timeout)
		}
	}
}

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

// A worker is another process.
type worker struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *bytes.Buffer
}

const workerVariable = "CACHEUTILS_STAMPEDE_WORKER"

func startWorkers(t *testing.T, n int) []*worker {
	t.Helper()
	all := make([]*worker, n)
	for i := range all {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestStampede_Worker$", "-test.timeout", "5m")
		cmd.Env = append(os.Environ(), workerVariable+"=1", "GORACE=atexit_sleep_ms=0")
		w := &worker{t: t, cmd: cmd, stderr: new(bytes.Buffer)}
		cmd.Stderr = w.stderr
		var err error
		if w.in, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		w.out = json.NewDecoder(out)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all[i] = w
	}
	t.Cleanup(func() {
		for _, w := range all {
			w.in.Close() // which ends it
		}
		for _, w := range all {
			w.wait()
		}
	})
	return all
}

// wait returns when the worker has ended. One that failed, with a race say, and was not killed
// fails the test.
func (w *worker) wait() {
	w.t.Helper()
	if w.cmd.ProcessState != nil {
		return
	}
	if err := w.cmd.Wait(); err != nil && w.cmd.ProcessState.Exited() {
		w.t.Errorf("a worker: %v\n%s", err, w.stderr)
	}
}

func (w *worker) kill() {
	w.t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	w.wait()
}

// send gives the worker an order. What returns waits for the report.
func (w *worker) send(o order) (receive func() report) {
	w.t.Helper()
	if err := json.NewEncoder(w.in).Encode(o); err != nil {
		w.t.Fatal(err)
	}
	return func() (r report) {
		w.t.Helper()
		if err := w.out.Decode(&r); err != nil {
			w.in.Close()
			w.wait()
			w.t.Fatalf("no report: %v\n%s", err, w.stderr)
		}
		if r.Err != "" {
			w.t.Fatalf("%s: %s", o.Do, r.Err)
		}
		return r
	}
}

// sendAll gives all the same order and a moment at which to start.
func sendAll(workers []*worker, o order) (receive func() []report) {
	o.At = time.Now().Add(100 * time.Millisecond)
	var each []func() report
	for _, w := range workers {
		each = append(each, w.send(o))
	}
	return func() (all []report) {
		for _, receive := range each {
			all = append(all, receive())
		}
		return all
	}
}

// TestStampede_Worker is what a worker does: one order after the other until there are no more.
func TestStampede_Worker(t *testing.T) {
	if os.Getenv(workerVariable) == "" {
		t.Skip("this is for the processes that the other tests start")
	}
	host := &workerHost{t: t}
	orders, reports := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return
		}
		r, err := host.do(o)
		if err != nil {
			r.Err = err.Error()
		}
		reports.Encode(r)
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
	c, err := backends.Get("default")
	if err != nil {
		return false, err
	}
	key, err := w.h.CacheKey(ctx)
	if err != nil {
		return false, err
	}
	return c.Add(ctx, key, addedRun, backends.Group(w.setup.Group))
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

// quantile returns the value below which that part of d lies. A d that is empty ends the test: every
// bar would hold.
func quantile(t *testing.T, d []time.Duration, part float64) time.Duration {
	t.Helper()
	if len(d) == 0 {
		t.Fatal("a quantile of no times")
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(int(float64(len(d))*part), len(d)-1)]
}

func TestStampede(t *testing.T) {
	server := memcachedtest.Start(t)
	workers := startWorkers(t, pick(8, 16))
	for _, test := range []struct {
		name           string
		version, group string
		processes      int
		callers        int
		pause          time.Duration // 256 callers without one measure the processor
		waves          int
	}{
		{"D1: default configuration", "", "", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"D2: with a group", "", "cities", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"D3: with a version", "v1.", "", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"D2, D3: with both", "v1.", "cities", len(workers), 1, 10 * time.Millisecond, pick(3, 8)},
		{"64 goroutines in each of 4 processes", "v1.", "cities", 4, 64, 60 * time.Millisecond, pick(1, 8)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSource(t, 300*time.Millisecond)
			w := &stampede{
				source:  s,
				workers: workers[:test.processes],
				order: order{Do: "call", Callers: test.callers, Pause: test.pause, Setup: setup{
					Memcached: server.Addr(), Source: s.addr, Key: test.name,
					Version: test.version, Group: test.group,
					Timeout: pick(500*time.Millisecond, time.Second),
				}},
			}
			w.cold(t)
			for range test.waves {
				w.expiry(t)
			}
			s.check(w.order.Setup.Timeout)
			t.Logf("%d waves: stale serves %s; plain Gets %s", test.waves, spread(t, w.stale), spread(t, w.plain))
			plain := quantile(t, w.plain, 0.99)
			if p99, most := quantile(t, w.stale, 0.99), time.Duration(staleRatio)*plain; p99 > most {
				t.Errorf("the p99 of stale serves is %v, more than %v, which is %d times that of plain Gets", p99, most, staleRatio)
			}
			if most := s.takes + longestPoll + time.Duration(waitRatio)*plain; w.waited > most {
				t.Errorf("cold: a caller waited %v, more than %v, which is %d plain Gets beyond the function and a poll", w.waited, most, waitRatio)
			}
		})
	}
}

// A stampede is a function and those who call it all at once.
type stampede struct {
	source  *source
	workers []*worker
	order   order
	waited  time.Duration   // in the first wave, at most
	stale   []time.Duration // what calls took that were served a stale value
	plain   []time.Duration
}

// cold is the first wave: nothing is there, one computes, all others wait for it.
func (w *stampede) cold(t *testing.T) {
	t.Helper()
	calls, _ := callsOf(t, sendAll(w.workers, w.order)())
	var took []time.Duration
	for _, c := range calls {
		if took = append(took, c.Took); c.Run != 1 {
			t.Errorf("cold: a caller got run %d", c.Run)
		}
	}
	runs, _ := w.source.seen()
	t.Logf("cold: %d callers, %d computation; callers waited %s", len(calls), len(runs), spread(t, took))
	if len(runs) != 1 {
		t.Errorf("cold: %d computations, want 1", len(runs))
	}
	w.waited = slices.Max(took)
}

// expiry is a wave of calls that find an expired value: all have that until there is a new one,
// which is computed once, and for which nobody waits.
func (w *stampede) expiry(t *testing.T) {
	t.Helper()
	timeout := w.order.Setup.Timeout
	before, _ := w.source.seen()
	time.Sleep(timeout + tick) // the last wave was over when a caller had the value
	o := w.order
	o.For = w.source.takes - 60*time.Millisecond
	begin := time.Now()
	calls, plain := callsOf(t, sendAll(w.workers, o)())
	o.For, o.Callers = 0, 1
	eventually(t, "a caller gets the new value", func() bool {
		last, _ := callsOf(t, []report{w.workers[0].send(o)()})
		return last[0].Run > len(before)
	})
	took := time.Since(begin)

	after, _ := w.source.seen()
	n := len(after) - len(before)
	switch {
	case n > 1 && took > w.source.takes+timeout:
		t.Logf("the wave took %v, in which a value expires more than once: %d computations", took, n)
	case n != 1:
		t.Errorf("%d computations in a wave, want 1", n)
	}
	stale, waited := 0, 0
	for _, c := range calls {
		switch c.Run {
		case len(before):
			stale++
			w.stale = append(w.stale, c.Took)
		case len(before) + 1:
			// A call that began before the computation and has its result was not served at once.
			if c.Began.Before(after[len(before)].begin) {
				waited++
			}
		default:
			t.Errorf("a caller got run %d, when there had been %d", c.Run, len(before))
		}
	}
	w.plain = append(w.plain, plain...)
	if stale == 0 {
		t.Errorf("none of %d calls was served a stale value", len(calls))
	}
	if waited > 0 {
		t.Errorf("%d of %d calls waited for the new value, want 0: the stale one was there", waited, len(calls))
	}
}

func spread(t *testing.T, d []time.Duration) string {
	t.Helper()
	return fmt.Sprintf("p50 %v, p99 %v, max %v (%d)", quantile(t, d, 0.5), quantile(t, d, 0.99), quantile(t, d, 1), len(d))
}

// However many wait in a process for another's result, one of them looks for it.
func TestStampede_OneOfManyPolls(t *testing.T) {
	server := memcachedtest.Start(t)
	s := newSource(t, pick(time.Second, 3*time.Second))
	workers := startWorkers(t, 2)
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "many", Version: "v1.", Group: "cities", Timeout: time.Minute,
	}}
	computes := workers[0].send(o)
	s.awaitRun(1)
	o.Callers = 500
	wait := workers[1].send(o)()
	computes()
	calls, _ := callsOf(t, []report{wait})
	var took []time.Duration
	for _, c := range calls {
		if took = append(took, c.Took); c.Run != 1 {
			t.Errorf("a caller got run %d", c.Run)
		}
	}
	// Six looks are closer together than 20 ms, the others are not.
	most := 6 + uint64(slices.Max(took)/(20*time.Millisecond)) + 1
	t.Logf("%d callers looked %d times, at most %d are one poller's; they waited %s", len(calls), wait.Stats.Waits, most, spread(t, took))
	if n := wait.Stats.Waits; n == 0 || n > most {
		t.Errorf("the process looked %d times, want 1 to %d", n, most)
	}
	if wait.Stats.Joins < 499 {
		t.Errorf("%d callers have joined, want 499", wait.Stats.Joins)
	}
	s.check(o.Setup.Timeout)
}

// D5: a function slower than the lease's life and than the time that a value is stale for.
func TestStampede_SlowerThanLease(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, pick(1500*time.Millisecond, 2500*time.Millisecond))
	workers := startWorkers(t, pick(3, 8))
	o := order{Do: "call", Callers: 2, For: pick(5*time.Second, 20*time.Second), Pause: 10 * time.Millisecond, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "slow", Version: "v1.", Group: "cities",
		Lease: time.Second, Timeout: 500 * time.Millisecond, Stale: time.Second,
	}}
	calls, _ := callsOf(t, sendAll(workers, o)())
	s.check(o.Setup.Timeout)
	runs, most := s.seen()
	t.Logf("%d calls, %d runs, %d at once", len(calls), len(runs), most)
	if len(runs) < 2 {
		t.Errorf("%d runs: no value has expired", len(runs))
	}
	got := map[int]int{}
	for _, c := range calls {
		if got[c.Run]++; c.Run < 1 || c.Run > len(runs) {
			t.Errorf("a caller got run %d of %d", c.Run, len(runs))
		}
	}
	if got[1] == 0 || got[2] == 0 {
		t.Errorf("calls by the run that they got: %v, want some for 1 and for 2", got)
	}
}

// D6: while the function fails all keep the old value, and it is tried again after a second,
// then two, and so on.
func TestStampede_FailingRefresh(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 50*time.Millisecond)
	workers := startWorkers(t, pick(3, 8))
	o := order{Do: "call", Callers: 2, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "fails", Version: "v1.", Group: "cities",
		Timeout: 300 * time.Millisecond, Stale: time.Minute,
	}}
	sendAll(workers, o)()
	s.set(50*time.Millisecond, true)
	time.Sleep(o.Setup.Timeout + tick)
	o.For, o.Pause = pick(1500*time.Millisecond, 8*time.Second), 10*time.Millisecond
	calls, _ := callsOf(t, sendAll(workers, o)())
	for _, c := range calls {
		if c.Run != 1 {
			t.Errorf("while the function fails a caller got run %d, want the old value's", c.Run)
		}
	}
	failed, _ := s.seen()
	s.set(50*time.Millisecond, false)
	s.check(o.Setup.Timeout)
	for i, backOff := 2, time.Second; i < len(failed); i, backOff = i+1, 2*backOff {
		if gap := failed[i].begin.Sub(failed[i-1].end); gap < backOff-tick {
			t.Errorf("failure %d came %v after the one before, want %v", i, gap, backOff)
		}
	}
	t.Logf("%d calls, %d failures", len(calls), len(failed)-1)
	if n := len(failed) - 1; n < 2 {
		t.Errorf("%d failures: it was not tried again", n)
	}
	o.For = 0
	eventually(t, "a new value once the function works again", func() bool {
		calls, _ := callsOf(t, []report{workers[0].send(o)()})
		return calls[0].Run > len(failed)
	})
}

// D9: an old value is served for as long as Stale says and no longer, though memcached, which
// counts in seconds, may have it a while yet.
func TestStampede_StaleEnds(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 0)
	w := startWorkers(t, 1)[0]
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "ends", Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: 950 * time.Millisecond,
	}}
	w.send(o)()
	s.set(0, true)
	time.Sleep(o.Setup.Timeout + o.Setup.Stale + tick)
	if c := w.send(o)().Calls[0]; c.Err == "" {
		t.Errorf("got run %d, past the time that it may be served", c.Run)
	}
}

// deleteDuringRefresh has the first worker refresh a stale value, which takes a while, and the second
// delete that meanwhile. It returns the order to call, and what waits until the refresh has ended,
// whether its caller waits for that or not.
func deleteDuringRefresh(t *testing.T, server *memcachedtest.Server, workers []*worker, takes time.Duration, fails bool) (o order, refreshed func()) {
	t.Helper()
	s := newSource(t, 20*time.Millisecond)
	o = order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: t.Name(), Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: time.Minute,
	}}
	sendAll(workers, o)()
	time.Sleep(o.Setup.Timeout + tick)
	s.set(takes, fails)
	receive := workers[0].send(o)
	s.awaitRun(2)
	s.set(20*time.Millisecond, false)
	remove := o
	remove.Do = "invalidate"
	workers[1].send(remove)()
	return o, func() {
		t.Helper()
		callsOf(t, []report{receive()})
		stats := o
		stats.Do = "stats"
		eventually(t, "the refresh has ended", func() bool {
			s := workers[0].send(stats)().Stats
			return s.Refusals+s.Errors > 0 // its result was refused, or it had none
		})
	}
}

// D7: what is deleted while it is computed anew stays so, whether that succeeds or fails.
func TestStampede_DeleteDuringRefresh(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	workers := startWorkers(t, 3)
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails=%v", fails), func(t *testing.T) {
			o, refreshed := deleteDuringRefresh(t, server, workers, 600*time.Millisecond, fails)
			// The refresh ends later. This one starts now.
			if calls, _ := callsOf(t, []report{workers[2].send(o)()}); calls[0].Run != 3 {
				t.Errorf("during the refresh a caller got run %d after the delete, want 3", calls[0].Run)
			}
			refreshed()
			for i, w := range workers {
				if calls, _ := callsOf(t, []report{w.send(o)()}); calls[0].Run < 3 {
					t.Errorf("after the refresh worker %d got run %d, from before the delete", i, calls[0].Run)
				}
			}
		})
	}
}

// The same with nobody who computes between the delete and the end of the refresh.
func TestStampede_DeleteDuringRefreshAlone(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	workers := startWorkers(t, 2)
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails=%v", fails), func(t *testing.T) {
			o, refreshed := deleteDuringRefresh(t, server, workers, 200*time.Millisecond, fails)
			refreshed()
			for i, w := range workers {
				if calls, _ := callsOf(t, []report{w.send(o)()}); calls[0].Run < 3 {
					t.Errorf("worker %d got run %d, from before the delete", i, calls[0].Run)
				}
			}
		})
	}
}

// D8: a stale entry is none for add.
func TestStampede_AddOnStale(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 0)
	workers := startWorkers(t, 2)
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "add", Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: time.Minute,
	}}
	workers[0].send(o)()
	time.Sleep(o.Setup.Timeout + tick)
	add := o
	add.Do = "add"
	if !workers[1].send(add)().Added {
		t.Error("add on a stale entry is refused")
	}
	if workers[0].send(add)().Added {
		t.Error("a second add succeeds, over the first one's value")
	}
	if calls, _ := callsOf(t, []report{workers[0].send(o)()}); calls[0].Run != addedRun {
		t.Errorf("a call after the add got run %d, want the added %d", calls[0].Run, addedRun)
	}
}

// A holder that is killed delays the next computation by no more than its lease's life and
// one tick of memcached's clock.
func TestStampede_KilledHolder(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	const lease = time.Second
	// kill has worker 0 compute, until it is killed, while the others call again and again. It
	// returns how long after that run n began.
	kill := func(t *testing.T, s *source, workers []*worker, o order, n int) time.Duration {
		t.Helper()
		s.set(time.Minute, false)
		workers[0].send(o)
		s.awaitRun(n - 1)
		s.set(20*time.Millisecond, false)
		o.For, o.Pause = lease+2*time.Second, 10*time.Millisecond
		receive := sendAll(workers[1:], o)
		time.Sleep(lease / 2)
		killed := time.Now()
		workers[0].kill()
		callsOf(t, receive())
		return s.awaitRun(n).begin.Sub(killed)
	}
	setup := setup{Memcached: server.Addr(), Version: "v1.", Group: "cities", Lease: lease, Timeout: time.Minute}
	for _, test := range []struct {
		name string
		old  bool
		most time.Duration
	}{
		{"nothing there", false, lease + time.Second},
		{"an old value there", true, lease},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, 0)
			workers := startWorkers(t, 3)
			o := order{Do: "call", Callers: 1, Setup: setup}
			o.Setup.Source, o.Setup.Key = s.addr, strings.ReplaceAll(test.name, " ", "_")
			next := 2
			if test.old {
				o.Setup.Timeout = 500 * time.Millisecond
				workers[0].send(o)()
				time.Sleep(o.Setup.Timeout + tick)
				next++
			}
			delay := kill(t, s, workers, o, next)
			t.Logf("the next computation began %v after the kill", delay)
			if most := test.most + pick(2*time.Second, 100*time.Millisecond); delay > most {
				t.Errorf("the next computation began %v after the kill, more than %v", delay, most)
			}
			if _, most := s.seen(); most > 1 {
				t.Errorf("%d computations at once", most)
			}
		})
	}
}
