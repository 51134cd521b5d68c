package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
)

// The function with several results is decorated by reflection. Its arguments are the caller's, who writes something else
// into them once it has left: into a list, of which the function has a copy then, and into a ticket, of which nobody can
// make one.

const pairName = "pair"

// A ticket names itself in keys. What it refers to may be anything, so nobody copies it.
type ticket struct{ n *int }

func (t *ticket) CacheKey() string { return strconv.Itoa(*t.n) }

type pairFunc = func(context.Context, []int, *ticket) (int, []int, error)

// decoratePair decorates the function.
func (p *program) decoratePair() {
	set := p.sets
	p.pair, p.pairHandle = decorators.Cached(pairFunc(func(ctx context.Context, list []int, t *ticket) (int, []int, error) {
		key := list[0]
		id, err := p.compute(ctx, set, pairName, []int{key}, nil)
		if list[0] != key {
			p.breaks("law 6: the arguments of #%d have become those of another call: %d, and were %d", id, list[0], key)
		}
		if err == errDead {
			return 0, nil, err
		}
		return id, []int{id, *t.n}, err
	}), p.options(pairName, func(_ context.Context, list []int, _ *ticket) []string { return groups(list[0])[1:] })...)
	p.counted(pairName, p.pairHandle.Stats)
}

// doPair carries out an operation on the function.
func (p *program) doPair(ctx context.Context, r *record) (v []int, err error) {
	key := r.keys[0]
	n := key
	list, t := []int{key}, &ticket{&n}
	var id int
	switch r.kind {
	case callPair:
		id, v, err = p.pair(ctx, list, t)
	case requirePair:
		id, v, err = p.pairHandle.RequireCache(ctx, list, t)
	case forcePair:
		id, v, err = p.pairHandle.ForceRecalc(ctx, list, t)
	case setPair:
		id := p.give(r)
		return nil, p.pairHandle.Set([]any{ctx, list, t}, id, []int{id, key}, nil)
	case invalidatePair:
		return nil, p.pairHandle.Invalidate(ctx, list, t)
	}
	if err == nil && (len(v) != 2 || v[0] != id) {
		p.breaks("law 6: %v got %d beside %v", r, id, v)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		p.post(&event{from: p.process, verb: "changes", object: "the arguments of " + r.operation.String(), done: make(chan struct{}), effect: func() error {
			p.runner.mu.Lock()
			defer p.runner.mu.Unlock()
			for _, c := range p.history.computations {
				if c.ended == never && c.process == p.index && c.function == pairName {
					p.count(changed)
					break
				}
			}
			list[0], n = key+1, key+1
			return nil
		}})
	}
	return v, err
}

// addPairs has some operations be on the function.
func (p *plan) addPairs(rng *rand.Rand) {
	hasty := p.isHasty()
	for i := range p.operations {
		o := &p.operations[i]
		if o.kind == closing || rng.IntN(3) > 0 {
			continue
		}
		o.keys, o.group, o.mode = []int{rng.IntN(p.keys)}, "", ""
		switch n := rng.IntN(20); {
		case n < 12:
			o.kind = callPair
			if hasty && rng.IntN(3) == 0 {
				o.patience, o.cancelled = time.Duration(1+rng.IntN(20))*time.Millisecond+time.Duration(rng.IntN(1e6)), false
			}
		case n < 14:
			o.kind = requirePair
		case n < 16:
			o.kind = forcePair
		case n < 17:
			o.kind = setPair
		default:
			o.kind = invalidatePair
		}
	}
}
