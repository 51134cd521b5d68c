package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
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

	mu        sync.Mutex
	pending   []*event
	step      int // events that were picked so far: what counts as time in the records
	over      bool
	ended     chan struct{} // closed when it is over
	processes []*process
	servers   []*server

	trace trace

	counting sync.Mutex
	met      map[string]int // how often which operation, event, fate and fault was
}

// A process has backends of its own. It can be stopped for a while, as by a collector or a debugger, and it can die.
type process struct {
	name    string
	stopped time.Time // until then none of its events is picked
	dead    bool
}

// An event is a request to a server that is on its way, its answer that is, or anything else that waits for its turn.
type event struct {
	from   *process
	text   string
	name   string       // with whose it is, and whether it goes or comes
	effect func() error // what it does when it is picked
	remote bool         // it goes to a server and comes back: faults may befall it
	back   bool         // it is the answer that is on its way
	err    error        // the answer
	done   chan struct{}

	// Of two events of one text, one comes first, whichever of the two was posted first: by the item that it stores, by
	// the caller for whom it is, and by where in the library it was made.
	item, caller string
	stack        stack
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
	w := &world{plan: p, faults: p.faults, rng: rand.New(rand.NewPCG(p.seed, p.schedule+1)), began: time.Now(), met: make(map[string]int), ended: make(chan struct{})}
	for i := range p.processes {
		w.processes = append(w.processes, &process{name: fmt.Sprint("p", i)})
	}
	for i := range p.servers {
		w.servers = append(w.servers, newServer(fmt.Sprint("s", i)))
	}
	return w
}

// callerOf returns the caller in whose context something is done.
func callerOf(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

type callerKey struct{}

// A stack is where a goroutine is.
type stack [12]uintptr

// post adds an event.
func (w *world) post(e *event) {
	if !e.back {
		runtime.Callers(2, e.stack[:])
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		e.err = errDead
		close(e.done)
		return
	}
	arrow := "> "
	if e.back {
		arrow = "< "
	}
	e.name = e.from.name + arrow + e.text
	w.pending = append(w.pending, e)
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

// turn returns once the scheduler has picked an event of that text, and do was called.
func (w *world) turn(p *process, text string, do func()) {
	e := &event{from: p, text: text, done: make(chan struct{}), effect: func() error {
		if do != nil {
			do()
		}
		return nil
	}}
	w.post(e)
	<-e.done
}

// request has effect happen on a server, and returns once the answer has come, or ctx has ended.
func (w *world) request(ctx context.Context, p *process, text, item string, effect func() error) error {
	e := &event{from: p, text: text, item: item, caller: callerOf(ctx), effect: effect, remote: true, done: make(chan struct{})}
	w.post(e)
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
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

// run schedules events until end says that it is the end, or nothing has happened for much longer than anything may take.
func (w *world) run(end func() bool) (stuck bool) {
	const (
		longest    = 10 * time.Minute // of simulated time without an event
		shortPause = 20 * time.Millisecond
	)
	longPause := 3 * time.Second
	if w.plan.config.slow && !w.plan.hasFaults() {
		longPause = 50 * time.Millisecond // what a lease needs to be renewed is not late
	}
	quiet, pause := time.Now(), shortPause
	for {
		synctest.Wait()
		if end() {
			return false
		}
		if e := w.pick(); e != nil {
			quiet, pause = time.Now(), shortPause
			w.happen(e)
			time.Sleep(time.Duration(1 + w.rng.IntN(1000))) // no two events are at one time, nor two deadlines that follow from them
			continue
		}
		if time.Since(quiet) > longest {
			return true
		}
		time.Sleep(1 + time.Duration(w.rng.Int64N(int64(pause))))
		pause = min(pause*3/2, longPause)
	}
}

// pick takes one of the events that can happen, or returns nil if time is to pass.
func (w *world) pick() *event {
	w.disturb()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	var can []*event
	for _, e := range w.pending {
		if !e.from.dead && !now.Before(e.from.stopped) {
			can = append(can, e)
		}
	}
	if len(can) == 0 || w.rng.IntN(40) == 0 {
		return nil
	}
	slices.SortStableFunc(can, func(a, b *event) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.item, b.item), strings.Compare(a.caller, b.caller), slices.Compare(a.stack[:], b.stack[:]))
	})
	e := can[w.rng.IntN(len(can))]
	w.pending = slices.DeleteFunc(w.pending, func(other *event) bool { return other == e })
	return e
}

// happen has e happen.
func (w *world) happen(e *event) {
	w.mu.Lock()
	w.step++
	w.mu.Unlock()
	if e.back || !e.remote {
		if !e.back {
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
		again.remote, again.text, again.done = false, "late: "+e.text, make(chan struct{})
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
		w.trace.line("%6d %v -- %s: %s", w.step, time.Since(w.began), kind, what)
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
}

// end lets all go on that has not ended, without a world.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	close(w.ended)
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	for _, e := range pending {
		e.err = errDead
		close(e.done)
	}
}

func (w *world) note(e *event, fate string) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(e.text, "late: "), " ")
	switch {
	case fate != "":
		w.count(fate)
	case e.back:
	case !e.remote && strings.HasPrefix(e.text, "late: "):
		w.count("late, and carried out")
	default:
		w.count("event " + kind)
	}
	if e.err != nil && fate == "" {
		fate = e.err.Error()
	}
	if fate != "" {
		fate = " (" + fate + ")"
	}
	w.trace.line("%6d %v %s%s", w.step, time.Since(w.began), e.name, fate)
}

// A trace is what has happened, or the sum of it.
type trace struct {
	show bool
	all  strings.Builder
	sum  uint64
}

func (t *trace) line(format string, args ...any) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d ", t.sum)
	var out io.Writer = h
	if t.show {
		out = io.MultiWriter(h, &t.all)
	}
	fmt.Fprintf(out, format+"\n", args...)
	t.sum = h.Sum64()
}
