package flight_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A world is a Group with data that its functions read: each key has a version. To invalidate something is to give it
// another version, and to tell the Group. What a caller gets must be no older than the version at its start.
type world struct {
	*rapid.T
	g *group

	mu       sync.Mutex
	versions map[string]int
	leases   map[string]*work // who holds the lease of the key, and so knows at the end whether that was forgotten
	works    []*work          // whose functions run
	calls    []*modelCall
	draining bool // functions return at once
	base     context.Context
	wrong    []string
	met      map[string]int
}

// groupsOf are the groups of the model's keys.
var groupsOf = map[string][]string{"a": {"one"}, "b": {"one", "two"}, "c": nil}

// A plan is what a computation does.
type plan struct {
	delay    time.Duration // of the store before the function
	store    time.Duration // of the store after it
	linger   time.Duration
	hands    bool
	later    bool
	alone    bool // it takes no lease
	obedient bool // the function ends with its context
	panics   bool
	nested   string // the key that the function asks for in the end
}

// A work is a computation of a plan.
type work struct {
	computation
	world   *world
	key     string
	plan    plan
	bare    bool
	gate    chan struct{} // closed when the function may return
	opened  bool
	version int // that the function has read
	cut     bool
}

// A modelCall is one caller's.
type modelCall struct {
	key     string
	cancel  context.CancelFunc
	ends    bool // its context has a deadline
	version int  // at its start
	over    bool
}

func (w *world) work(key string, p plan, bare bool) *work {
	k := &work{world: w, key: key, plan: p, bare: bare, gate: make(chan struct{})}
	k.LingerFor = p.linger
	return k
}

func (k *work) flight() *flight.Flight {
	k.Computation, k.Groups = k, groupsOf[k.key]
	return &k.Flight
}

func (w *world) meets(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met[what]++
}

func (k *work) Abandon() { k.world.meets("a hang") }

// do is the work of a flight.
func (k *work) do(ctx context.Context) {
	w := k.world
	if k.plan.delay > 0 && !k.bare {
		answered := k.Asks()
		select {
		case <-time.After(k.plan.delay):
		case <-flight.Steps(ctx).Done():
		}
		answered()
	}
	leaseless := k.bare || k.plan.alone
	if !leaseless {
		w.mu.Lock()
		w.leases[k.key] = k
		w.mu.Unlock()
	}
	if !k.Begin(ctx, leaseless) {
		k.cut = true
		w.meets("nobody left before the function")
		return
	}
	done := false
	defer func() {
		if !done {
			k.Catch(recover())
		}
		k.cut = ctx.Err() != nil
		k.Return()
		if k.Valid = k.Began(); k.cut {
			k.Valid = 0
		}
		later := k.plan.later && w.g.Remote && !k.IsForced() && !k.IsRefresh() && !leaseless
		if k.plan.hands || later {
			k.HandOut(later)
		}
		if later {
			go func() {
				k.settle(leaseless)
				k.Finish()
			}()
		} else {
			k.settle(leaseless)
		}
	}()
	w.mu.Lock()
	k.version = w.versions[k.key]
	w.works = append(w.works, k)
	if w.draining {
		k.open()
	}
	w.mu.Unlock()
	var ended <-chan struct{}
	if k.plan.obedient {
		ended = ctx.Done()
	}
	select {
	case <-k.gate:
	case <-ended:
	}
	if k.plan.nested != "" {
		w.call(ctx, k.plan.nested, plan{}, &modelCall{key: k.plan.nested}, false)
	}
	if k.plan.panics {
		panic(k)
	}
	done = true
}

// settle says for whom the outcome is when it has been stored.
func (k *work) settle(leaseless bool) {
	tick := k.world.g.Tick()
	time.Sleep(k.plan.store)
	k.world.mu.Lock()
	defer k.world.mu.Unlock()
	if k.world.leases[k.key] == k && !k.cut && !leaseless {
		k.Valid = tick
	}
}

// open lets the function return. The world is locked.
func (k *work) open() {
	if !k.opened {
		k.opened = true
		close(k.gate)
	}
}

// call is what a caller does: it joins or leads until it has an outcome that is for it, or its context has ended.
func (w *world) call(ctx context.Context, key string, p plan, c *modelCall, forced bool) {
	w.mu.Lock()
	c.version = w.versions[key]
	started := w.g.Now()
	w.mu.Unlock()
	var last *flight.Flight
	for bare := false; ctx.Err() == nil; {
		var f *flight.Flight
		leads := true
		if forced {
			f = w.g.Replace(ctx, key, flight.Check{}, w.work(key, p, false).flight)
		} else {
			f, leads = w.g.Join(ctx, flight.Start{Key: key, Bare: bare, Tick: started, After: last}, w.work(key, p, bare).flight)
		}
		if last != nil && !leads {
			w.meets("a next flight that was there")
		}
		k := f.Computation.(*work)
		wait := flight.NewWait(f, started, groupsOf[key])
		if leads {
			wait = flight.NewLead(f)
			wait.Arrival = f.Lead(ctx, k.do)
		} else if err := wait.Wait(ctx); err != nil {
			w.meets("a circle")
			return
		}
		w.meets(name(wait.Arrival))
		switch {
		case wait.Arrival == flight.Left:
			return
		case wait.Arrival == flight.Impatient:
			bare = true
		case wait.Arrival == flight.Early, leads, wait.IsForCaller():
			if k.cut || k.IsAbandoned() {
				return
			}
			w.mu.Lock()
			if k.version < c.version {
				w.wrong = append(w.wrong, fmt.Sprintf("a caller of %s who started at version %d got %d; it arrived %s, leads %v",
					key, c.version, k.version, name(wait.Arrival), leads))
			}
			w.mu.Unlock()
			return
		default:
			w.meets("an outcome for others")
		}
		last, forced = f, false
	}
}

// Check is called after each of these.
func (w *world) Check(*rapid.T) {
	if rapid.IntRange(0, 3).Draw(w.T, "wait") > 0 {
		synctest.Wait()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wrong := range w.wrong {
		w.Fatal(wrong)
	}
}

// minutes is longer than anything that ends by itself takes. More would end the search, which has a day.
const minutes = 3 * time.Minute

// end lets time pass, and then all functions return.
func (w *world) end() {
	time.Sleep(minutes)
	synctest.Wait()
	w.mu.Lock()
	for _, c := range w.calls {
		if c.ends && !c.over {
			w.wrong = append(w.wrong, "a caller of "+c.key+" with a deadline waits when that is long over")
		}
	}
	w.draining = true
	for _, k := range w.works {
		k.open()
	}
	w.mu.Unlock()
	time.Sleep(minutes)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if !c.over {
			w.wrong = append(w.wrong, "a caller of "+c.key+" waits, though all functions have returned")
		}
	}
	if !w.g.Close() || w.g.idle.Load() != 0 {
		w.wrong = append(w.wrong, "there are flights, though all functions have returned")
	}
	if waiting, computing := flight.Leftovers(); waiting != 0 || computing != 0 {
		w.wrong = append(w.wrong, fmt.Sprintf("%d flights count as waiting, and %d as computing", waiting, computing))
	}
	for _, wrong := range w.wrong {
		w.Error(wrong)
	}
}

// An inBubble is a test in a bubble of testing/synctest, where rapid may not ask for the deadline.
type inBubble struct{ *testing.T }

// No caller gets an outcome that began before an invalidation that preceded its start; nobody waits forever; and in the
// end no flight is left.
func TestModel(t *testing.T) {
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprint("remote=", remote), func(t *testing.T) {
			met := map[string]int{}
			synctest.Test(t, func(t *testing.T) {
				rapid.Check(inBubble{t}, func(rt *rapid.T) {
					w := &world{T: rt, g: newGroup(), versions: map[string]int{}, leases: map[string]*work{}, met: met}
					w.g.Remote = remote
					w.base = context.Background()
					if rapid.IntRange(0, 4).Draw(rt, "contexts can end") > 0 {
						var cancel context.CancelFunc
						w.base, cancel = context.WithCancel(w.base)
						defer cancel()
					}
					defer w.end()
					rt.Repeat(rapid.StateMachineActions(w))
				})
			})
			wanted := []string{"Done", "Left", "a circle", "a hang", "an outcome for others", "a next flight that was there", "nobody left before the function"}
			if remote {
				wanted = append(wanted, "Early", "Impatient")
			}
			for _, what := range wanted {
				if met[what] == 0 {
					t.Errorf("it has not met %s", what)
				}
			}
			t.Log(met)
		})
	}
}
