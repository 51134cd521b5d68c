package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/random"
	"github.com/cacheutils/cacheutils/logging"
)

// slack is how much longer than its context a call may take, since each event takes a moment.
const slack = time.Millisecond

// simulated is the world that engines are opened in.
var simulated *world

func init() {
	engine.Register(engine.Driver{Names: []string{simulatedStore}, Open: func(s engine.Settings) (engine.Engine, error) {
		c := connection{simulated, simulated.processes[s.Options["process"].(int)], s.Options["set"].(int)}
		if simulated.plan.config.each {
			return eachConnection{c}, nil
		}
		return c, nil
	}})
	logging.SetSink(silence{})
}

type silence struct{}

func (silence) Enabled(logging.Level) bool       { return false }
func (silence) Log(logging.Level, logging.Event) {}

// A result is what one history came to.
type result struct {
	history *history
	broken  []string
	trace   *trace
	met     map[string]int
	steps   int
}

// A runner runs a plan.
type runner struct {
	*world
	history *history

	mu     sync.Mutex
	ids    []int // by process: how many computations have begun there
	ended  []int // by process: callers that have ended
	broken []string
}

// A program is one process's functions and backends.
type program struct {
	*runner
	*process
	index   int
	caches  *backends.Caches
	backend string // its name in them
	sets    int    // how many the process has had

	one   func(context.Context, int) ([]int, error)
	many  func(context.Context, []int) (map[int][]int, error)
	outer func(context.Context, int) ([]int, error)

	pair pairFunc

	oneHandle  *decorators.Handle1[int, []int]
	manyHandle *decorators.HandleMany[int, []int]
	pairHandle *decorators.Handle[pairFunc]

	counters []counter // of all functions that it has had
}

// The names of the functions.
const (
	oneName   = "one"
	manyName  = "many"
	outerName = "outer"
	lowName   = "low" // what getOrSet computes
)

// run is one history.
func run(t *testing.T, p *plan, show bool) *result {
	r := &runner{
		history: &history{plan: p, computations: make(map[int]*computation), allStored: never, closed: make([]bool, p.processes), disturbed: make([]bool, p.processes), replaced: make([]bool, p.processes)},
		ids:     make([]int, p.processes), ended: make([]int, p.processes),
	}
	synctest.Test(t, func(t *testing.T) {
		defer random.Simulate(p.seed + p.schedule<<40)()
		r.world = newWorld(p)
		r.trace.show = show
		simulated = r.world
		var programs []*program
		for i := range p.processes {
			programs = append(programs, r.newProgram(t, i))
		}
		for _, prog := range programs {
			for c := range p.callers {
				go prog.caller(c)
			}
		}
		stuck := r.run(r.allEnded)
		if !stuck {
			stuck = r.settle(programs)
		}
		if stuck {
			r.broken = append(r.broken, "law 10: nothing happens any more")
		}
		r.end()
		for _, prog := range programs {
			prog.caches.Close()
		}
		time.Sleep(10 * time.Minute) // for those that wait in a process that is dead
	})
	r.history.apart, r.history.restored = r.mostAhead-r.leastAhead, r.restored
	for _, process := range r.processes {
		r.history.dead = append(r.history.dead, process.dead)
	}
	return &result{
		history: r.history, broken: slices.Concat(r.history.check(), r.broken, r.world.broken), trace: &r.trace, met: r.counts(), steps: r.step,
	}
}

// allEnded reports whether the callers of all processes that live have ended.
func (r *runner) allEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.processes {
		if !p.dead && r.ended[i] < r.plan.callers {
			return false
		}
	}
	return true
}

// settle has the faults end, and waits for what is held to come free. Then each process calls each function for each key, and
// so does the first one again: they all find what that one has computed.
func (r *runner) settle(programs []*program) (stuck bool) {
	if !r.plan.config.settles {
		return false
	}
	r.faults = nil
	r.rightClocks()
	if r.runFor(2 * time.Minute) {
		return true
	}
	var live, closed []*program // these compute without a cache
	for _, prog := range programs {
		switch {
		case prog.dead:
		case r.history.closed[prog.index]:
			closed = append(closed, prog)
		default:
			live = append(live, prog)
		}
	}
	for i, prog := range slices.Concat(live, live[:min(1, len(live))], closed) {
		if i == 1 {
			r.history.allStored = r.now()
		}
		if prog.callAll() {
			return true
		}
	}
	if r.handOver(programs) || r.run(r.allDone) {
		return true
	}
	for _, prog := range programs {
		if !prog.dead {
			r.broken = append(r.broken, prog.tally()...)
		}
	}
	return false
}

// callAll calls each function for each key.
func (p *program) callAll() (stuck bool) {
	for key := range p.plan.keys {
		for _, kind := range []string{callOne, callMany, callOuter, callPair} {
			ended := false
			go func() {
				p.do(&record{operation: operation{process: p.index, caller: -1, kind: kind, keys: []int{key}}, settled: true})
				p.runner.mu.Lock()
				defer p.runner.mu.Unlock()
				ended = true
				p.wake()
			}()
			if p.run(func() bool {
				p.runner.mu.Lock()
				defer p.runner.mu.Unlock()
				return ended
			}) {
				return true
			}
		}
	}
	return false
}

func (r *runner) newProgram(t *testing.T, index int) *program {
	p := &program{runner: r, process: r.processes[index], index: index}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	return p
}

// decorate makes the functions that use the process's set.
func (p *program) decorate() {
	c, set := &p.plan.config, p.sets
	p.one, p.oneHandle = decorators.Cached1(func(ctx context.Context, key int) ([]int, error) {
		id, err := p.compute(ctx, set, oneName, []int{key}, nil)
		if err == errDead {
			return nil, err
		}
		return []int{id, key}, err // where there is an error, nobody is to get the rest
	}, p.options(oneName, groupsOf)...)
	p.counted(oneName, p.oneHandle.Stats)
	var absent []decorators.Option
	if c.absent {
		absent = append(absent, decorators.Absent(time.Minute))
	}
	p.many, p.manyHandle = decorators.CachedMany(func(ctx context.Context, keys []int) (map[int][]int, error) {
		id, err := p.compute(ctx, set, manyName, keys, nil)
		if err != nil {
			return nil, err
		}
		results := make(map[int][]int)
		for _, key := range keys {
			results[key] = []int{id, key}
		}
		return results, nil
	}, p.options(manyName, groupsOf, absent...)...)
	p.counted(manyName, p.manyHandle.Stats)
	var outerHandle *decorators.Handle1[int, []int]
	p.outer, outerHandle = decorators.Cached1(func(ctx context.Context, key int) ([]int, error) {
		id, err := p.compute(ctx, set, outerName, []int{key}, func(outer *computation) error {
			rec := &record{operation: operation{process: p.index, caller: -2, kind: callOne, keys: []int{key}, mode: modeOf(ctx)}, isInside: true}
			p.begin(rec)
			var v []int
			err := errExited
			defer func() {
				p.finish(rec, map[int][]int{key: v}, err)
				p.contains(outer, rec)
			}()
			err = caught(func() (err error) {
				v, err = p.one(ctx, key)
				return err
			})
			return err
		})
		if idOf(err) != 0 {
			return []int{id, key}, nameError(id)
		}
		if err != nil {
			return nil, err
		}
		return []int{id, key}, nil
	}, p.options(outerName, groupsOf)...)
	p.counted(outerName, outerHandle.Stats)
	p.decoratePair()
}

// compute is what the functions do: it takes a while, and may fail. inside is called in between, unless it is nil.
func (p *program) compute(ctx context.Context, set int, function string, keys []int, inside func(*computation) error) (id int, err error) {
	if p.isOver() {
		return 0, errDead
	}
	p.runner.mu.Lock()
	p.ids[p.index]++
	id = p.ids[p.index]*10 + p.index + 1
	c := &computation{id: id, function: function, keys: slices.Clone(keys), process: p.index, started: p.world.now(), began: time.Now(), ended: never, mode: modeOf(ctx), isForced: ctx.Value(forcedKey{}) != nil}
	p.history.computations[id] = c
	p.runner.mu.Unlock()
	returned := false
	defer func() {
		if !returned && err == nil {
			err = errExited
		}
		p.runner.mu.Lock()
		defer p.runner.mu.Unlock()
		if c.ended, c.over, c.err = p.world.now(), time.Now(), err; idOf(err) != 0 {
			c.err, c.isNamed = nil, true // it is a result
		}
		p.wake()
	}()
	fails, panics, leaves, isNamed, lasts := false, false, false, false, time.Duration(0)
	half := func(what string) error {
		e := &event{from: p.process, set: set, verb: what, object: function + " " + textOf(keys), caller: callerOf(ctx), done: make(chan struct{}), effect: func() error {
			if p.faults[failures] && p.rng.IntN(40) == 0 {
				fails, panics = true, p.rng.IntN(3) == 0
				p.count(failures)
			}
			if p.faults[exits] && p.rng.IntN(40) == 0 {
				leaves = true
				p.count(exits)
			}
			if p.plan.config.named > 0 && p.faults != nil && (function == oneName || function == outerName) && p.rng.IntN(8) == 0 {
				isNamed = true
				p.count(named)
			}
			if p.plan.config.slow && p.faults != nil && p.rng.IntN(4) == 0 {
				lasts = time.Duration(p.rng.Int64N(int64(3 * p.plan.config.lease)))
			}
			return nil
		}}
		p.post(e)
		heeded := ctx.Done()
		if !p.plan.config.heeds {
			heeded = nil
		}
		if !e.wait(heeded) {
			return ctx.Err()
		}
		return p.last(heeded, lasts, ctx)
	}
	err = half("begins")
	if err == nil && inside != nil {
		err = inside(c)
	}
	if err == nil {
		err = half("ends")
	}
	returned = !leaves || err != nil
	switch {
	case err != nil:
		return id, err
	case leaves:
		exit()
		return id, errExited
	case panics:
		p.count(panicked)
		err = &failure{id}
		panic(err)
	case fails:
		return id, &failure{id}
	case isNamed:
		return id, nameError(id)
	default:
		return id, nil
	}
}

// caller does the operations of one caller, one after the other.
func (p *program) caller(n int) {
	defer func() {
		p.runner.mu.Lock()
		defer p.runner.mu.Unlock()
		p.ended[p.index]++
		p.wake()
	}()
	for i := range p.plan.operations {
		o := p.plan.operations[i]
		if o.process != p.index || o.caller != n {
			continue
		}
		if p.do(&record{operation: o, ended: never}) == errDead {
			return
		}
	}
}

// functionOf says of operations whose entries they are about.
var functionOf = map[string]string{
	callOne: oneName, callMany: manyName, callOuter: outerName, require: oneName, force: oneName, set: oneName, invalidate: oneName, getOrSet: lowName, get: lowName,
	callPair: pairName, requirePair: pairName, forcePair: pairName, setPair: pairName, invalidatePair: pairName,
	requireMany: manyName, forceMany: manyName, setMany: manyName, invalidateMany: manyName,
}

// begin notes that an operation begins.
func (p *program) begin(r *record) {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	r.function = functionOf[r.kind]
	r.called, r.ended, r.began = p.world.now(), never, time.Now()
	r.isClosed = p.history.closed[p.index]
	p.count(r.kind)
	if r.mode != "" {
		p.count(r.mode)
	}
	p.history.records = append(p.history.records, r)
}

// finish notes how an operation has ended. What it has got is spoilt, as a caller may.
func (p *program) finish(r *record, got map[int][]int, err error) {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	r.isLast = p.isOver()
	r.ended, r.over, r.err = p.world.now(), time.Now(), err
	id := idOf(err)
	if id != 0 { // that is a result
		r.err, err = nil, nil
		if v := got[r.keys[0]]; len(v) != 2 || v[0] != id {
			p.broken = append(p.broken, fmt.Sprintf("law 8: %v got %v with the error of #%d", r, v, id))
		}
	}
	for key, v := range got {
		if len(v) != 2 {
			if err == nil && v != nil {
				p.broken = append(p.broken, fmt.Sprintf("law 6: %v got %v", r, v))
			}
			continue
		}
		if c := p.history.computations[v[0]]; err != nil && c != nil && c.err != nil {
			continue // it counts for nothing beside the error
		} else if c != nil && c.isNamed && id == 0 {
			p.broken = append(p.broken, fmt.Sprintf("law 8: %v got %v without its error", r, c))
		}
		if r.got == nil {
			r.got = make(map[int]value)
		}
		r.got[key] = value{v[0], v[1]}
		if c := p.history.computations[v[0]]; c != nil && p.processes[c.process].ahead.Load() != p.ahead.Load() {
			p.count(apart)
		}
		v[0], v[1] = -1, -1
	}
}

// do does one operation, once it is its turn.
func (p *program) do(r *record) error {
	p.turn(p.process, r.who(), r.what())
	ctx := under(context.WithValue(context.Background(), callerKey{}, r.who()), r.mode)
	if r.kind == force || r.kind == forceMany {
		ctx = context.WithValue(ctx, forcedKey{}, true)
	}
	if r.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.patience)
		defer cancel()
	}
	if r.cancelled {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		p.post(&event{from: p.process, verb: "cancels", object: r.operation.String(), done: make(chan struct{}), effect: func() error {
			p.runner.mu.Lock()
			defer p.runner.mu.Unlock()
			if r.ended == never {
				r.cancelledAt = time.Now()
			}
			cancel()
			return nil
		}})
	}
	if r.isLate {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
		r.cancelledAt = time.Now()
		p.count(endedSoon)
	}
	p.begin(r)
	var v []int
	var got map[int][]int
	carryOut := func() error {
		return caught(func() (err error) {
			v, got, err = p.carryOut(ctx, r)
			return err
		})
	}
	var err error
	if p.plan.faults[exits] {
		if err = onItsOwn(carryOut); err == errExited {
			p.count(endedCall)
		}
	} else {
		err = carryOut()
	}
	if got == nil && v != nil {
		got = map[int][]int{r.keys[0]: v}
	}
	p.finish(r, got, err)
	return err
}

// caught returns the error of f, or the one that it has panicked with.
func caught(f func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *cacheutils.PanicError:
			err = fmt.Errorf("panic: %w", v.Value.(error))
		default:
			err = fmt.Errorf("panic: %w", v.(error))
		}
	}()
	return f()
}

// carryOut does the operation. It returns a result, or several by key.
func (p *program) carryOut(ctx context.Context, r *record) (v []int, got map[int][]int, err error) {
	switch r.kind {
	case callOne:
		v, err = p.one(ctx, r.keys[0])
	case callMany:
		got, err = p.many(ctx, r.keys)
	case callOuter:
		v, err = p.outer(ctx, r.keys[0])
	case require:
		v, err = p.oneHandle.RequireCache(ctx, r.keys[0])
	case force:
		v, err = p.oneHandle.ForceRecalc(ctx, r.keys[0])
	case set:
		id := p.give(r)
		err = p.oneHandle.Set(ctx, r.keys[0], []int{id, r.keys[0]})
	case invalidate:
		err = p.oneHandle.Invalidate(ctx, r.keys[0])
	case invalidateGroup:
		err = cache.InvalidateGroup(ctx, r.group, p.on()...)
	case clearAll:
		var c *backends.Cache
		if c, err = p.caches.Get(p.backend); err == nil {
			err = c.Clear(ctx)
		}
	case requireMany:
		got, err = p.manyHandle.RequireCache(ctx, r.keys)
	case forceMany:
		got, err = p.manyHandle.ForceRecalc(ctx, r.keys)
	case setMany:
		id, all := p.give(r), make(map[int][]int)
		for _, key := range r.keys {
			all[key] = []int{id, key}
		}
		err = p.manyHandle.Set(ctx, all)
	case invalidateMany:
		err = p.manyHandle.Invalidate(ctx, r.keys)
	case closing:
		err = p.close()
	case reopen:
		err = p.reopen()
	case configure:
		err = p.configure()
	case callPair, requirePair, forcePair, setPair, invalidatePair:
		v, err = p.doPair(ctx, r)
	case getOrSet:
		key := r.keys[0]
		v, err = cache.GetOrSet(ctx, key, func(ctx context.Context) ([]int, error) {
			id, err := p.compute(ctx, p.sets, lowName, []int{key}, func(c *computation) error {
				c.named = r.named()
				return nil
			})
			if err != nil {
				return nil, err
			}
			return []int{id, key}, nil
		}, p.on(cache.Group(r.named()...))...)
	case get:
		if v, err = cache.Get[[]int](ctx, r.keys[0], p.on(cache.Group(r.named()...))...); errors.Is(err, cacheutils.ErrCacheMiss) {
			return nil, nil, nil
		}
	case invalidateGroups:
		err = cache.InvalidateGroups(ctx, strings.Split(r.group, "+"), p.on()...)
	}
	return v, got, err
}

// give returns the id of a value for a set.
func (p *program) give(r *record) int {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	p.ids[p.index]++
	id := p.ids[p.index]*10 + p.index + 1
	p.history.computations[id] = &computation{
		id: id, function: r.function, keys: r.keys, process: p.index, started: r.called, ended: r.called, given: r,
	}
	return id
}
