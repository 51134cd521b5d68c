package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// Two versions of a program on one store of bytes, as a simulation: a seed decides which of the operations that wait for
// the store is carried out next, and whether time passes before.

// A sea is the store that processes of several versions share.
type sea struct {
	mu      sync.Mutex
	random  *rand.Rand
	items   map[string]seaItem
	writes  uint64
	waiting []chan struct{} // operations that have not been carried out
	more    chan struct{}   // has a value if there may be one more
	asked   int             // keys that were read
	seconds bool            // its clock ticks once a second, and it keeps items for whole ones
}

type seaItem struct {
	engine.Item
	ends time.Time // zero: never
}

func newSea(seed uint64) *sea {
	return &sea{random: rand.New(rand.NewPCG(seed, 1)), items: make(map[string]seaItem), more: make(chan struct{}, 1)}
}

// run carries out the operations of all goroutines until work has ended.
func (s *sea) run(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	for {
		synctest.Wait()
		if s.next() {
			continue
		}
		select {
		case <-done:
			return
		case <-s.more:
		}
	}
}

// next lets one operation be carried out, or a little time pass. It returns false if none waits.
func (s *sea) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return false
	}
	if s.random.IntN(8) == 0 {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
	i := s.random.IntN(len(s.waiting))
	close(s.waiting[i])
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// operate waits for the operation's turn and carries it out. An operation whose context ends first may be carried
// out, too.
func (s *sea) operate(ctx context.Context, f func()) error {
	turn := make(chan struct{})
	s.mu.Lock()
	s.waiting = append(s.waiting, turn)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	carried := make(chan struct{})
	go func() {
		<-turn
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
		close(carried)
	}()
	select {
	case <-carried:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sea) get(key string) (engine.Item, bool) {
	s.asked++
	it, ok := s.items[key]
	if ok && !it.ends.IsZero() && !s.now().Before(it.ends) {
		delete(s.items, key)
		return engine.Item{}, false
	}
	return it.Item, ok
}

// now returns the time of the store's clock.
func (s *sea) now() time.Time {
	if s.seconds {
		return time.Now().Truncate(time.Second)
	}
	return time.Now()
}

func (s *sea) put(key string, item engine.Item, timeout time.Duration) {
	s.writes++
	item.CAS = s.writes
	it := seaItem{Item: item}
	if timeout != cacheutils.Forever {
		if it.ends = s.now().Add(timeout); s.seconds {
			it.ends = s.now().Add((timeout + time.Second - 1).Truncate(time.Second))
		}
	}
	s.items[key] = it
}

func (s *sea) Traits() engine.Traits { return engine.Traits{} }

func (s *sea) Get(ctx context.Context, key string) (engine.Item, error) {
	var item engine.Item
	var ok bool
	if err := s.operate(ctx, func() { item, ok = s.get(key) }); err != nil {
		return engine.Item{}, err // it may be carried out later
	}
	if !ok {
		return engine.Item{}, cacheutils.ErrCacheMiss
	}
	return item, nil
}

func (s *sea) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	items := make(map[string]engine.Item)
	s.mu.Lock()
	order := s.random.Perm(len(keys))
	s.mu.Unlock()
	for _, i := range order { // of several servers, which don't answer at one moment
		item, err := s.Get(ctx, keys[i])
		if err == nil {
			items[keys[i]] = item
		} else if err != cacheutils.ErrCacheMiss {
			return maps.Clone(items), err
		}
	}
	return items, nil
}

func (s *sea) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	return s.operate(ctx, func() { s.put(key, item, timeout) })
}

func (s *sea) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	added := false
	err := s.operate(ctx, func() {
		if _, had := s.get(key); !had {
			s.put(key, item, timeout)
			added = true
		}
	})
	return err == nil && added, err
}

func (s *sea) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	swapped := false
	err := s.operate(ctx, func() {
		if had, ok := s.get(key); ok && had.CAS == item.CAS {
			s.put(key, item, timeout)
			swapped = true
		}
	})
	return err == nil && swapped, err
}

func (s *sea) Delete(ctx context.Context, key string) (bool, error) {
	had := false
	err := s.operate(ctx, func() {
		_, had = s.get(key)
		delete(s.items, key)
	})
	return err == nil && had, err
}

func (s *sea) Incr(context.Context, string, int64) (int64, error) {
	return 0, cacheutils.ErrNotNumber
}

func (s *sea) Clear(ctx context.Context, _ string) error {
	return s.operate(ctx, func() { clear(s.items) })
}

func (s *sea) Close() error { return nil }

type (
	firstVersion  struct{ N int }
	secondVersion struct {
		N    int
		Name string
	}
	thirdVersion struct{ N int64 }
)

var seaVersions = []reflect.Type{reflect.TypeFor[firstVersion](), reflect.TypeFor[secondVersion](), reflect.TypeFor[thirdVersion]()}

// A program is a process of one version.
type program struct {
	history *history
	store   *Store
	task    *Task
	version int
}

// A history is what processes of several versions do at the same time.
type history struct {
	t   *testing.T
	sea *sea

	mu    sync.Mutex
	truth int // what the function returns
	floor int // the truth at the start of the last invalidation that has ended: no call that starts now gets less
	fails int // of so many computations one fails; 0: none
}

func (h *history) random(n int) int {
	h.sea.mu.Lock()
	defer h.sea.mu.Unlock()
	return h.sea.random.IntN(n)
}

func (h *history) start(version int, stale time.Duration) *program {
	c := New(Config{
		Name: fmt.Sprint("version ", version), Engine: h.sea, Timeout: time.Hour, Version: "1", CompressAbove: 1024,
		Lease: 90 * time.Millisecond, OperationTimeout: 10 * time.Second,
	})
	task := NewTask("f", seaVersions[version], false)
	task.Stale = stale
	return &program{history: h, store: c, task: task, version: version}
}

func (p *program) key() Key { return p.store.Key("k", "g") }

// value returns a pointer to a value of the program's version.
func (p *program) value(n int) any {
	v := reflect.New(seaVersions[p.version])
	v.Elem().Field(0).SetInt(int64(n))
	return v.Interface()
}

// compute returns the function, which reads the truth when it begins.
func (p *program) compute(timeout time.Duration) func(context.Context) Result {
	return func(context.Context) Result {
		h := p.history
		h.mu.Lock()
		truth, fails := h.truth, h.fails
		h.mu.Unlock()
		time.Sleep(time.Duration(h.random(100)) * 2 * time.Millisecond)
		if fails > 0 && h.random(fails) == 0 {
			return Result{Err: fmt.Errorf("the function has failed")}
		}
		return Result{Value: p.value(truth), Timeout: timeout}
	}
}

// call calls the function, by the way that does so.
func (p *program) call(what string, do func(context.Context) Result) int {
	h := p.history
	h.mu.Lock()
	floor := h.floor
	h.mu.Unlock()
	r := do(context.Background())
	if r.Err != nil {
		return 0
	}
	got := int(reflect.ValueOf(r.Value).Elem().Field(0).Int())
	if got < floor {
		h.t.Errorf("%s by version %d got %d, which was computed before the invalidation of all below %d", what, p.version, got, floor)
	}
	return got
}

// change makes another truth, and has those before it invalidated.
func (p *program) change(invalidate func(context.Context) error) {
	h := p.history
	h.mu.Lock()
	h.truth++
	truth := h.truth
	h.mu.Unlock()
	if err := invalidate(context.Background()); err != nil {
		h.t.Errorf("invalidate: %v", err)
		return
	}
	h.raise(truth)
}

func (h *history) raise(floor int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor = max(h.floor, floor)
}

// act does one thing, as the seed says.
func (p *program) act() {
	h := p.history
	timeout := []time.Duration{20 * time.Millisecond, 150 * time.Millisecond, time.Hour}[h.random(3)]
	switch h.random(12) {
	case 0:
		p.change(func(ctx context.Context) error { _, err := p.store.Delete(ctx, p.key()); return err })
	case 1:
		p.change(func(ctx context.Context) error { return p.store.InvalidateGroup(ctx, "g") })
	case 2, 3:
		h.mu.Lock()
		h.truth++
		h.mu.Unlock()
		if got := p.call("ForceRecalc", func(ctx context.Context) Result { return p.store.Force(ctx, p.key(), p.task, p.compute(timeout)) }); got > 0 {
			h.raise(got)
		}
	case 4:
		time.Sleep(time.Duration(h.random(200)) * time.Millisecond)
	case 5:
		p.call("RequireCache", func(ctx context.Context) Result {
			v, err := p.store.FetchCached(ctx, p.key(), p.task)
			return Result{Value: v, Err: err}
		})
	case 6:
		if _, err := p.store.Touch(context.Background(), p.key(), timeout); err != nil {
			h.t.Errorf("Touch: %v", err)
		}
	case 7:
		results := make([]Result, 1)
		p.call("a call of many", func(ctx context.Context) Result {
			key := p.key()
			misses := p.store.LookupMany(ctx, []Key{key}, p.task, nil, func(int) any { return reflect.New(seaVersions[p.version]).Interface() }, func(_ int, v any) { results[0].Value = v })
			if misses != nil {
				p.store.FetchMisses(ctx, misses, results, func(ctx context.Context, _ []int) []Result { return []Result{p.compute(timeout)(ctx)} })
			}
			return results[0]
		})
	default:
		p.call("a call", func(ctx context.Context) Result { return p.store.Fetch(ctx, p.key(), p.task, p.compute(timeout)) })
	}
}

// simulate runs one history, at whose end every version has its value.
func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{t: t, sea: newSea(seed), truth: 1}
		stale := []time.Duration{-1, 300 * time.Millisecond}[h.random(2)]
		h.fails = []int{0, 4}[h.random(2)]
		var programs []*program
		for n := range 4 {
			version := n % 2
			if n == 3 && seed%4 == 0 {
				version = 2
			}
			programs = append(programs, h.start(version, stale))
		}
		h.sea.run(func() {
			var clients sync.WaitGroup
			for n := range 6 {
				clients.Go(func() {
					for range 6 {
						programs[n%len(programs)].act()
					}
				})
			}
			clients.Wait()
			h.mu.Lock()
			h.fails = 0
			h.mu.Unlock()
			time.Sleep(2 * time.Minute) // leases and stale values are over, and so are back-offs
			for _, p := range programs[:2] {
				p.store.Force(context.Background(), p.key(), p.task, p.compute(time.Hour))
			}
			before := programs[0].runs() + programs[1].runs()
			for range 5 {
				for _, p := range programs[:2] {
					p.call("a call", func(ctx context.Context) Result { return p.store.Fetch(ctx, p.key(), p.task, p.compute(time.Hour)) })
				}
			}
			if n := programs[0].runs() + programs[1].runs() - before; n > 1 {
				t.Errorf("10 calls of two versions in turn are %d computations", n)
			}
			h.sea.check(t, programs[0].key().stored)
			for _, p := range programs {
				p.store.Close()
			}
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	})
}

func (p *program) runs() uint64 { return p.task.Stats.Computations.Load() }

// check looks at the item at the end.
func (s *sea) check(t *testing.T, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, _ := s.get(key)
	var e entry.Entry
	if err := e.Parse(item); err != nil || !e.HasOthers() {
		t.Errorf("at the end there is %x, %v, want a section for each version", item.Value, err)
	}
}

// No history of two versions, or three, has a value in it that was older than an invalidation.
func TestLaw2_Versions(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		if simulate(t, seed); t.Failed() {
			return
		}
	}
}
