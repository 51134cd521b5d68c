//go:build unix

package stress_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/workers"
	"github.com/cacheutils/cacheutils/logging"
)

// A job is what a worker process is told to do.
type job struct {
	Backend       string
	Location      []string
	SocketTimeout string // empty: the backend's own
	StoreLater    bool   // the option
	Secret        string // likewise; empty: there is none
	Lease         string // likewise; empty: the backend's own
	Forgeries     bool   // others may have written what is read: a value that nobody has computed is no error
	Groups        bool   // whether the entries are in groups
	Operations    int64  // of all workers together
	Round         int64  // operations after which all clients wait for each other
	Process       int
	Clients       int // goroutines
	Seed          uint64
	Memory        string // files
	History       string
}

// A report is what a worker replies in the end.
type report struct {
	Stats  decorators.Stats
	Broken []string // errors that no caller should get
}

// TestStress_Worker is what a worker does.
func TestStress_Worker(t *testing.T) {
	var j job
	if !workers.Job(&j) {
		t.Skip("this is for the processes that the other tests start")
	}
	report, err := work(j)
	if err != nil {
		t.Fatal(err)
	}
	workers.Reply(report)
}

func work(j job) (report, error) {
	logging.SetSink(silent{}) // faults are counted
	memory, err := openMemory(j.Memory)
	if err != nil {
		return report{}, err
	}
	settings := backends.Settings{Backend: j.Backend, Location: j.Location, Options: map[string]any{"store_later": j.StoreLater}}
	if j.SocketTimeout != "" {
		settings.Options["operation_timeout"], settings.Options["probe_interval"] = j.SocketTimeout, "20ms"
	}
	for option, value := range map[string]string{"secret": j.Secret, "lease": j.Lease} {
		if value != "" {
			settings.Options[option] = value
		}
	}
	if err := backends.Configure(backends.Config{"default": settings}); err != nil {
		return report{}, err
	}
	cache, err := backends.Get("default")
	if err != nil {
		return report{}, err
	}
	w := &worker{job: j, memory: memory, cache: cache, functions: decorate(memory, j.Groups)}

	histories := make([][]record, j.Clients)
	var wg sync.WaitGroup
	for n := range j.Clients {
		wg.Go(func() { histories[n] = w.run(n) })
	}
	wg.Wait()
	var all []record
	for _, h := range histories {
		all = append(all, h...)
	}
	if err := saveHistory(j.History, all); err != nil {
		return report{}, err
	}
	for _, f := range w.functions {
		addStats(&w.report.Stats, f.stats())
	}
	return w.report, nil
}

type silent struct{}

func (silent) Enabled(logging.Level) bool       { return false }
func (silent) Log(logging.Level, logging.Event) {}

// addStats adds each field.
func addStats(sum *decorators.Stats, s decorators.Stats) {
	to, from := reflect.ValueOf(sum).Elem(), reflect.ValueOf(s)
	for i := range to.NumField() {
		to.Field(i).SetUint(to.Field(i).Uint() + from.Field(i).Uint())
	}
}

// A function is a decorated one, whatever its type.
type function struct {
	call, force, require func(ctx context.Context, key int) (int64, error)
	set                  func(ctx context.Context, key int, value int64) error
	invalidate           func(ctx context.Context, key int) error
	stats                func() decorators.Stats
}

// A result says which key it is of, and has a sum of that, so that one under the wrong key shows, and one that nobody
// has computed.
const (
	keyBits = 4
	sumBits = 20
)

var (
	errSource = errors.New("the source fails")
	errWrong  = errors.New("a value of another key, or of nobody's")
)

// stampOf returns the result for a value of a key.
func stampOf(value int64, key int) int64 {
	v := value<<keyBits | int64(key)
	return v<<sumBits | sumOf(v)
}

// valueOf returns the value of a result, and its key; ok is false if it is none.
func valueOf(stamp int64) (value int64, key int, ok bool) {
	v := stamp >> sumBits
	return v >> keyBits, int(v & (1<<keyBits - 1)), stamp&(1<<sumBits-1) == sumOf(v)
}

func sumOf(v int64) int64 { return int64(uint64(v) * 0x9e3779b97f4a7c15 >> (64 - sumBits)) }

// decorate makes the two functions. One has results that can be shared among callers and a long
// timeout, the other has results that are copied, and short timeouts after which they are served
// on as stale. Some results are not stored, and sometimes there is an error.
func decorate(memory memory, groups bool) [functions]function {
	compute := func(key int) (int64, error) {
		value := memory.tick() // the older it is when it is stored, the better
		memory.cell(cellComputations).Add(1)
		switch n := rand.IntN(100); {
		case n < 40:
		case n < 60:
			runtime.Gosched()
		case n < 85:
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		case n < 95:
			time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		case n < 97:
			time.Sleep(time.Duration(rand.IntN(30000)) * time.Microsecond)
		default:
			return 0, errSource
		}
		return stampOf(value, key), nil
	}
	var options []decorators.Option
	if groups {
		options = append(options, decorators.Group(groupNames[0]),
			decorators.GroupsOf(func(_ context.Context, key int) []string { return []string{groupNames[1+key%2]} }))
	}
	isLeftOut := func(stamp int64) bool {
		value, _, _ := valueOf(stamp)
		return value%32 == 0
	}
	return [functions]function{
		wrap(compute, func(stamp int64) int64 { return stamp }, func(v int64) int64 { return v }, append(options,
			decorators.Key("stress.long"), decorators.Timeout(time.Second),
			decorators.Unless(isLeftOut))...),
		wrap(compute, func(stamp int64) []int64 { return []int64{stamp} }, first, append(options,
			decorators.Key("stress.short"), decorators.Stale(60*time.Millisecond),
			decorators.TimeoutOf(func(v []int64) time.Duration {
				value, _, _ := valueOf(first(v))
				return time.Duration(1+value%8) * time.Millisecond
			}),
			decorators.Unless(func(v []int64) bool { return isLeftOut(first(v)) }))...),
	}
}

// first returns the only element of v, or no result if v has been forged.
func first(v []int64) int64 {
	if len(v) != 1 {
		return -1
	}
	return v[0]
}

// wrap decorates compute with results of type R.
func wrap[R any](compute func(key int) (int64, error), to func(int64) R, from func(R) int64, options ...decorators.Option) function {
	type signature = func(context.Context, int) (R, error)
	call, handle := decorators.Cached(func(_ context.Context, key int) (R, error) {
		stamp, err := compute(key)
		if err != nil {
			var none R
			return none, err
		}
		return to(stamp), nil
	}, options...)
	plain := func(f signature) func(context.Context, int) (int64, error) {
		return func(ctx context.Context, key int) (int64, error) {
			r, err := f(ctx, key)
			if err != nil {
				return 0, err
			}
			value, of, ok := valueOf(from(r))
			if !ok || of != key {
				return 0, fmt.Errorf("%w: %d under key %d", errWrong, from(r), key)
			}
			return value, nil
		}
	}
	return function{
		call: plain(call), force: plain(handle.ForceRecalc), require: plain(handle.RequireCache),
		set: func(ctx context.Context, key int, value int64) error {
			return handle.Set([]any{ctx, key}, to(stampOf(value, key)))
		},
		invalidate: func(ctx context.Context, key int) error { return handle.Invalidate(ctx, key) },
		stats:      handle.Stats,
	}
}

// A worker is one process of a run.
type worker struct {
	job
	memory    memory
	cache     *backends.Cache
	functions [functions]function

	mu     sync.Mutex
	report report
}

// run is one client: a goroutine that does one operation after the other until the run has had
// as many as it is to have.
func (w *worker) run(client int) (history []record) {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(w.Process)<<32|uint64(client)))
	for {
		n := w.memory.cell(cellOperations).Add(1)
		if n > w.Operations {
			// A process that has ended can't store what others wait for.
			w.awaitEnded(w.Operations)
			return history
		}
		// There is a moment after each round at which no operation is pending, for linearize.
		w.awaitEnded((n - 1) / w.Round * w.Round)
		r := w.choose(rng)
		r.Process, r.Client = uint8(w.Process), uint8(client)
		w.operate(&r, rng)
		w.memory.cell(cellEnded).Add(1)
		history = append(history, r)
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
		}
	}
}

// awaitEnded waits until so many operations of all processes have ended.
func (w *worker) awaitEnded(n int64) {
	for w.memory.cell(cellEnded).Load() < n {
		time.Sleep(100 * time.Microsecond)
	}
}

// choose returns an operation that is to be done.
func (w *worker) choose(rng *rand.Rand) record {
	r := record{Entry: int8(rng.IntN(entries))}
	n := rng.IntN(100)
	if quiet := w.memory.cell(cellClock).Load()>>11%2 == 0; quiet && rng.IntN(16) > 0 {
		n = rng.IntN(78) // a while in which all processes do little but read
	}
	switch {
	case n < 72:
		r.Kind = read
	case n < 78:
		r.Kind = require
	case n < 83:
		r.Kind = force
	case n < 87:
		r.Kind = set
	case n < 93 || !w.Groups:
		r.Kind = invalidate
	default:
		r.Kind, r.Entry = invalidateGroup, -1
		r.Groups = []uint8{1, 2, 2, 4, 4, 2 | 4}[rng.IntN(6)]
	}
	return r
}

// operate does the operation and fills in what came of it.
func (w *worker) operate(r *record, rng *rand.Rand) {
	ctx, faulted := withFaults(context.Background())
	ends := false
	switch rng.IntN(10) {
	case 0: // this one may have to leave early
		ends = r.Kind <= force
		after := time.Minute
		if ends {
			after = time.Duration(rng.IntN(6000)) * time.Microsecond
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, after)
		defer cancel()
	case 1, 2, 3: // these have the computation run on a goroutine of its own
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	began := time.Now()
	r.Call = w.memory.tick()
	err := w.do(ctx, r)
	r.Return = w.memory.tick()
	r.Took = int64(time.Since(began))
	r.Faulted = faulted.Load()
	r.Outcome = w.outcomeOf(r, err, ends)
}

func (w *worker) do(ctx context.Context, r *record) (err error) {
	if r.Kind == invalidateGroup {
		var groups []string
		for i, name := range groupNames {
			if r.Groups&(1<<i) != 0 {
				groups = append(groups, name)
			}
		}
		return w.cache.InvalidateGroup(ctx, groups...)
	}
	f, key := w.functions[r.Entry/keys], int(r.Entry%keys)
	switch r.Kind {
	case read:
		r.Value, err = f.call(ctx, key)
	case require:
		r.Value, err = f.require(ctx, key)
	case force:
		r.Value, err = f.force(ctx, key)
		if err == nil && r.Value < r.Call {
			err = fmt.Errorf("ForceRecalc returned %d, which was computed before it was called at %d", r.Value, r.Call)
		}
	case set:
		r.Value = r.Call
		err = f.set(ctx, key, r.Value)
	case invalidate:
		err = f.invalidate(ctx, key)
	}
	return err
}

func (w *worker) outcomeOf(r *record, err error, ends bool) outcome {
	switch {
	case err == nil:
		return done
	case r.Kind > force:
		return failed
	case errors.Is(err, errSource), r.Kind == require && errors.Is(err, cacheutils.ErrNoCachedValue):
		return nothing
	case ends && errors.Is(err, context.DeadlineExceeded):
		return left
	case w.Forgeries && errors.Is(err, errWrong):
		return forged
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.report.Broken) < 10 {
		w.report.Broken = append(w.report.Broken, fmt.Sprintf("%s of entry %d: %v", r.Kind, r.Entry, err))
	}
	return broken
}
