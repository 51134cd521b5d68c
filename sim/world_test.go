package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// A world is what one history happens in. Whatever a process does that another can notice is an event: each waits until the
// scheduler picks it, one at a time, by chance. Between two of them the library runs until all of its goroutines wait, so what
// happens follows from the order of the events, and that from the seed.
type world struct {
	plan   *plan
	faults map[string]bool // that may befall it now
	rng    *rand.Rand      // of the scheduler alone
	began  time.Time
	quiet  time.Time // since when nothing has happened

	mu        sync.Mutex
	pending   []*event // in the order of event.compare
	step      int      // events that were picked so far: what counts as time in the records
	over      bool
	ended     chan struct{} // closed when it is over
	woken     chan struct{} // has an element if there may be something to do for a scheduler that waits
	processes []*process
	servers   []*server

	trace trace
	can   []*event       // what pick chooses from, retained for the next time
	verbs map[string]int // how often which event was

	mostAhead, leastAhead time.Duration // that a clock of a process was
	restored              int           // the first event after which a server had data from before; never
	broken                []string      // laws, as the world has seen

	counting sync.Mutex
	met      map[string]int // how often which operation, fate and fault was
}

// A process has backends of its own. It can be stopped for a while, as by a collector or a debugger, and it can die.
type process struct {
	index   int
	name    string
	stopped time.Time // until then none of its events is picked
	dead    bool
	ahead   atomic.Int64 // how far its clock is, in nanoseconds
}

// What may befall a request.
const (
	refused = "refused" // it is not carried out, and that is known
	lost    = "lost"    // it is carried out, and nobody knows
	late    = "late"    // it is carried out later, and nobody knows
	hangs   = "hangs"   // no answer comes
)

var allFates = []string{refused, lost, late, hangs}

var (
	errFault = errors.New("sim: the connection broke")
	errDead  = errors.New("sim: the process has died")
)

func newWorld(p *plan) *world {
	w := &world{
		plan: p, faults: p.faults, rng: rand.New(rand.NewPCG(p.seed, p.schedule+1)), began: time.Now(),
		ended: make(chan struct{}), woken: make(chan struct{}, 1), met: make(map[string]int), verbs: make(map[string]int), restored: never,
	}
	for i := range p.processes {
		w.processes = append(w.processes, &process{index: i, name: fmt.Sprint("p", i)})
	}
	for i := range p.servers {
		w.servers = append(w.servers, newServer(fmt.Sprint("s", i)))
		w.servers[i].bit = 1 << i
	}
	w.setClocks()
	return w
}

// callerOf returns the caller in whose context something is done.
func callerOf(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

type callerKey struct{}

// post adds an event.
func (w *world) post(e *event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		e.err = errDead
		close(e.done)
		return
	}
	at, _ := slices.BinarySearchFunc(w.pending, e, (*event).compare)
	w.pending = slices.Insert(w.pending, at, e)
	w.wake()
}

// wake has the scheduler look whether there is something to do.
func (w *world) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// now returns the number of the last event.
func (w *world) now() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.step
}

// count notes that something was once more.
func (w *world) count(what string) {
	w.counting.Lock()
	defer w.counting.Unlock()
	w.met[what]++
}

// isOver reports whether all is over.
func (w *world) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// turn returns once the scheduler has picked an event of that text.
func (w *world) turn(p *process, verb, object string) { w.turnIn(p, 0, verb, object) }

// turnIn is turn for what one of the process's sets does.
func (w *world) turnIn(p *process, set int, verb, object string) {
	e := &event{from: p, set: set, verb: verb, object: object, done: make(chan struct{})}
	w.post(e)
	e.wait(nil)
}

// ended returns the error of a context that has ended, or whose time is up, which it may say a moment later.
func ended(ctx context.Context) error {
	if deadline, ends := ctx.Deadline(); ends && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// request has effect happen on the servers of those bits, as a set of the process asks for, and returns once the answer has come,
// or ctx has ended.
func (w *world) request(ctx context.Context, p *process, set int, at uint8, verb, object string, item []byte, effect func() error) error {
	if err := ended(ctx); err != nil { // nothing is sent, as by most clients
		return err
	}
	e := &event{from: p, set: set, at: at, verb: verb, object: object, item: item, caller: callerOf(ctx), effect: effect, remote: true, done: make(chan struct{})}
	w.post(e)
	if e.wait(ctx.Done()) {
		return e.err
	}
	// What is on its way goes on: it may be carried out.
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	default:
		return ctx.Err()
	}
}

const (
	longestQuiet  = 10 * time.Minute // without an event, after which nothing happens any more
	shortestPause = 20 * time.Millisecond
)

// longestPause is how long what is on its way may be there, unless a fault delays it.
func (w *world) longestPause() time.Duration {
	if w.plan.config.slow && !w.plan.hasFaults() {
		return 50 * time.Millisecond // what a lease needs to be renewed is not late
	}
	return 3 * time.Second
}

// run schedules events until end says that it is the end, or nothing has happened for much longer than anything may take.
// Who makes end true wakes the scheduler.
func (w *world) run(end func() bool) (stuck bool) {
	pause := shortestPause
	for w.quiet = time.Now(); ; {
		synctest.Wait()
		w.disturb()
		if end() {
			return false
		}
		switch e, some := w.pick(); {
		case e != nil:
			w.quiet, pause = time.Now(), shortestPause
			w.happen(e)
			time.Sleep(time.Duration(1 + w.rng.IntN(1000))) // no two events are at one time, nor two deadlines that follow from them
		case some:
			w.pass(pause)
			pause = min(pause*3/2, w.longestPause())
		case end(): // by what has befallen the world
			return false
		default:
			if !w.await() {
				return true
			}
		}
	}
}

// runFor schedules events for so long.
func (w *world) runFor(d time.Duration) (stuck bool) {
	ended := false
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		ended = true
		w.wake()
	})
	return w.run(func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ended
	})
}

// pass lets some time pass, though something could happen.
func (w *world) pass(most time.Duration) { time.Sleep(1 + time.Duration(w.rng.Int64N(int64(most)))) }

// await returns when something may happen again, which is on its way for a while then. It returns false if nothing does.
func (w *world) await() bool {
	select { // what it was woken for is done
	case <-w.woken:
	default:
	}
	now := time.Now()
	until := w.quiet.Add(longestQuiet)
	for _, p := range w.processes {
		if !p.dead && p.stopped.After(now) && p.stopped.Before(until) {
			until = p.stopped
		}
	}
	for _, s := range w.servers {
		if s.frozen.After(now) && s.frozen.Before(until) {
			until = s.frozen
		}
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select { // and which of the two it was makes no difference
	case <-w.woken:
	case <-timer.C:
	}
	if time.Since(w.quiet) >= longestQuiet {
		return false
	}
	w.pass(min(max(time.Since(w.quiet), shortestPause), w.longestPause()))
	return true
}

// pick takes one of the events that can happen. It returns nil if there is none, or if there are some and time is to pass.
func (w *world) pick() (picked *event, some bool) {
	now := time.Now()
	frozen := w.frozen(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.can = w.can[:0]
	for _, e := range w.pending {
		if !e.from.dead && !now.Before(e.from.stopped) && e.at&frozen == 0 {
			w.can = append(w.can, e)
		}
	}
	if len(w.can) == 0 || w.rng.IntN(40) == 0 {
		return nil, len(w.can) > 0
	}
	n := w.rng.IntN(len(w.can))
	first, next := n, n+1 // of those that compare finds equal
	for first > 0 && w.can[first-1].compare(w.can[n]) == 0 {
		first--
	}
	for next < len(w.can) && w.can[next].compare(w.can[n]) == 0 {
		next++
	}
	if next > first+1 {
		sortStacks(w.can[first:next])
	}
	picked = w.can[n]
	at := slices.Index(w.pending, picked)
	w.pending = slices.Delete(w.pending, at, at+1)
	return picked, true
}

// happen has e happen.
func (w *world) happen(e *event) {
	w.mu.Lock()
	w.step++
	w.mu.Unlock()
	if e.back || !e.remote {
		if !e.back && e.effect != nil {
			e.err = e.effect()
		}
		w.note(e, "")
		close(e.done)
		return
	}
	fate := w.fate()
	switch fate {
	case refused:
		e.err = errFault
	case lost:
		e.effect()
		e.err = errFault
	case late:
		again := *e
		again.remote, again.late, again.done = false, true, make(chan struct{})
		w.post(&again)
		e.err = errFault
	case hangs:
		w.note(e, fate)
		return
	default:
		e.err = e.effect()
	}
	w.note(e, fate)
	e.back = true
	w.post(e)
}

// fate returns what befalls the next request; nothing, mostly.
func (w *world) fate() string {
	if !w.faults[broken] {
		return ""
	}
	switch n := w.rng.IntN(100); {
	case n < 2:
		return refused
	case n < 4:
		return lost
	case n < 5:
		return late
	case n < 6:
		return hangs
	}
	return ""
}

// disturb has something happen that no process asked for, now and then.
func (w *world) disturb() {
	note := func(kind, what string) {
		w.count(kind)
		w.trace.fault(w.step, time.Since(w.began), kind, what)
	}
	faults := w.faults
	if faults[evictions] && w.rng.IntN(60) == 0 {
		s := w.servers[w.rng.IntN(len(w.servers))]
		if keys := s.keys(); len(keys) > 0 {
			key := keys[w.rng.IntN(len(keys))]
			delete(s.items, key)
			note(evictions, key)
		}
	}
	if faults[flushes] && w.rng.IntN(400) == 0 {
		s := w.servers[w.rng.IntN(len(w.servers))]
		clear(s.items)
		note(flushes, s.name)
	}
	if faults[stops] && w.rng.IntN(300) == 0 {
		p := w.processes[w.rng.IntN(len(w.processes))]
		for_ := time.Duration(w.rng.IntN(15_000)) * time.Millisecond
		p.stopped = time.Now().Add(for_)
		note(stops, fmt.Sprint(p.name, " for ", for_))
	}
	if faults[deaths] && w.rng.IntN(2000) == 0 && !slices.ContainsFunc(w.processes, func(p *process) bool { return p.dead }) {
		p := w.processes[w.rng.IntN(len(w.processes))]
		p.dead = true
		note(deaths, p.name)
	}
	if faults[outages] && w.rng.IntN(500) == 0 {
		s := w.servers[w.rng.IntN(len(w.servers))]
		for_ := time.Duration(w.rng.IntN(3000)) * time.Millisecond
		s.away = time.Now().Add(for_)
		note(outages, fmt.Sprint(s.name, " for ", for_))
	}
	w.befall(note)
}

// end lets all go on that has not ended, without a world.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	close(w.ended)
	pending := w.pending
	w.pending, w.can = nil, nil // a decorated function is there for as long as its backend knows of it
	w.mu.Unlock()
	for _, e := range pending {
		e.err = errDead
		close(e.done)
	}
}

// note notes what e was, and what befell it.
func (w *world) note(e *event, fate string) {
	switch {
	case fate != "":
		w.count(fate)
	case e.back:
	case e.late:
		w.count("late, and carried out")
	default:
		w.verbs[e.verb]++
	}
	if e.err != nil && fate == "" {
		fate = e.err.Error()
	}
	w.trace.event(w.step, time.Since(w.began), e, fate)
}

// counts returns how often what was.
func (w *world) counts() map[string]int {
	for verb, n := range w.verbs {
		w.met["event "+verb] = n
	}
	return w.met
}
