package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What some histories have besides: computations that take longer than a lease, invalidations of several groups, and readers who don't name the groups that an entry is in.

// outerGroup is the group that the results of the outer function are in, where they are apart.
const outerGroup = "outer"

// dummy is the backend that stores nothing: each process has but its own flights, and knows of its own invalidations.
const dummy = "dummy"

// noGroups is the group of an operation that names none.
const noGroups = "none"

// extend has a part of the plans do more. What it draws changes nothing of the others.
func (p *plan) extend() {
	rng := rand.New(rand.NewPCG(p.seed, 2))
	if rng.IntN(3) > 0 {
		return
	}
	p.config.slow, p.config.apart = rng.IntN(2) == 0, rng.IntN(2) == 0
	if p.config.slow && rng.IntN(2) == 0 {
		p.config.timeout, p.config.stale = 2*p.config.lease, time.Minute // values become stale
	}
	if p.config.network == nil && rng.IntN(8) == 0 {
		p.config.backend = dummy
	}
	if rng.IntN(2) == 0 {
		p.config.lingers, p.config.linger = true, []time.Duration{0, 10 * time.Millisecond, time.Second}[rng.IntN(3)]
	}
	one := func() []int { return []int{rng.IntN(p.keys)} }
	for i := range p.operations {
		o := &p.operations[i]
		if o.kind == closing {
			continue
		}
		switch rng.IntN(20) {
		case 0:
			o.kind, o.keys, o.group = invalidateGroups, nil, []string{"even+odd", "all+" + outerGroup, "odd+" + outerGroup}[rng.IntN(3)]
		case 1, 2:
			o.kind, o.keys, o.group = getOrSet, one(), []string{"", noGroups, "all"}[rng.IntN(3)]
		case 3:
			o.kind, o.keys, o.group = get, one(), []string{"", noGroups, "all"}[rng.IntN(3)]
		case 4, 5:
			if p.config.apart {
				o.kind, o.keys, o.group = callOuter, one(), ""
			}
		}
	}
}

// named returns the groups that the operation names.
func (o *operation) named() []string {
	switch o.group {
	case "":
		return groups(o.keys[0])
	case noGroups:
		return nil
	default:
		return []string{o.group}
	}
}

// groups returns the groups that the computation's result for the key is in.
func (h *history) groups(c *computation, key int) []string {
	switch {
	case c.function == lowName:
		return c.named
	case c.function == outerName && h.plan.config.apart:
		return []string{outerGroup}
	default:
		return groups(key)
	}
}

// last returns after d, or when the context has ended whose end is heeded, or the world.
func (p *program) last(heeded <-chan struct{}, d time.Duration, ctx context.Context) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-heeded:
		return ctx.Err()
	case <-p.world.ended:
		return errDead
	}
}

// contains notes which computation's result outer has, from the call that it has made.
func (p *program) contains(outer *computation, r *record) {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	outer.inner = r.got[r.keys[0]].id
}

// promises reports whether the operation promises that once it has returned nil no call that starts later gets what began
// before the event that it returns.
func (h *history) promises(p *record, key int) (since int, ok bool) {
	kind := p.kind
	if p.renews() {
		if p.patience > 0 || p.cancelled || p.isInside && h.plan.isHasty() { // it may have returned before its result was stored
			return 0, false
		}
		kind = force
	}
	switch kind {
	case invalidate, invalidateGroup, clearAll, invalidateMany, invalidatePair, invalidateGroups, set, setMany, setPair:
		return p.called, true
	case force, forceMany, forcePair:
		// Nobody gets an older value than its own, unless the server could not be asked.
		c := h.computations[p.got[key].id]
		if c == nil || p.isClosed || h.mayNotAnswer() {
			return 0, false
		}
		return c.started, true
	}
	return 0, false
}

// grouped: who names groups gets no value that is not in them.
func (h *history) grouped() (broken []string) {
	for _, r := range h.records {
		if r.kind != getOrSet && r.kind != get {
			continue
		}
		for key, v := range r.got {
			c := h.computations[v.id]
			for _, group := range r.named() {
				if c != nil && !slices.Contains(h.groups(c, key), group) {
					broken = append(broken, fmt.Sprintf("law 2: %v of %d got %v, which is not in the group %s", r, key, c, group))
				}
			}
		}
	}
	return broken
}

// handOver has each process set a value, which the next one finds.
func (r *runner) handOver(programs []*program) (stuck bool) {
	if r.plan.config.timeout < time.Minute || r.plan.config.backend == dummy {
		return false
	}
	programs = r.keptOpen(programs)
	for i, p := range programs {
		next := programs[(i+1)%len(programs)]
		given := &record{operation: operation{process: p.index, caller: -1, kind: set, keys: []int{0}}, settled: true}
		found := &record{operation: operation{process: next.index, caller: -1, kind: require, keys: []int{0}}, settled: true}
		if p.await(given) || next.await(found) {
			return true
		}
		if c := r.history.computations[found.got[0].id]; c == nil || c.given != given {
			r.broken = append(r.broken, fmt.Sprintf("law 10: %v found %v, %v, and not what %v had stored", found, found.got, found.err, given))
		}
	}
	return false
}

// await does an operation on which nothing else waits.
func (p *program) await(r *record) (stuck bool) {
	ended := false
	go func() {
		p.do(r)
		p.runner.mu.Lock()
		defer p.runner.mu.Unlock()
		ended = true
		p.wake()
	}()
	return p.run(func() bool {
		p.runner.mu.Lock()
		defer p.runner.mu.Unlock()
		return ended
	})
}
