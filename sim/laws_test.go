package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
)

// The laws. Each is a function of the history that returns what breaks it.

// fresh: once an invalidation has returned nil, no call that starts later gets a value whose computation began before it. A
// value that was given to Set is one of Set's call, and counts for as long as that is under way.
func (h *history) fresh() (broken []string) {
	for _, r := range h.records {
		for key, v := range r.got {
			c := h.computations[v.id]
			if c == nil || r.ended >= h.restored { // which is not promised
				continue
			}
			for _, p := range h.records {
				since, isPromise := h.promises(p, key)
				if !isPromise || p.err != nil || p.ended >= r.called || h.plan.config.backend == dummy && p.process != r.process {
					continue
				}
				if in := h.computations[c.inner]; in != nil && in.given == nil && in.started < p.called && p.covers(c.function, key, h.groups(c, key)) && p.covers(in.function, key, h.groups(in, key)) {
					broken = append(broken, fmt.Sprintf("law 2: %v of %d got %v, which has the result of %v, from before %v", r, key, c, in, p))
				}
				if !p.covers(r.function, key, h.groups(c, key)) || c.started >= since || c.given != nil && (c.given.ended > p.called || c.given.err != nil) {
					continue
				}
				broken = append(broken, fmt.Sprintf("law 2: %v of %d got %v, which began before %v", r, key, c, p))
			}
		}
	}
	return broken
}

// exact: a call gets a value that its function has computed for that key, or that somebody has given for it, and nothing that
// a caller has changed.
func (h *history) exact() (broken []string) {
	for _, r := range h.records {
		if r.ended != never && r.err == nil && returns(r.kind) && len(r.got) < len(r.keys) {
			broken = append(broken, fmt.Sprintf("law 1: %v got no error, and results for %d of its keys", r, len(r.got)))
		}
		for key, v := range r.got {
			c := h.computations[v.id]
			switch {
			case c == nil:
				broken = append(broken, fmt.Sprintf("law 6: %v of %d got %v, which nobody has computed", r, key, v))
			case c.err != nil && r.err == nil:
				broken = append(broken, fmt.Sprintf("law 5: %v of %d got what %v had beside its error", r, key, c))
			case v.key != key || c.function != r.function || !slices.Contains(c.keys, key):
				broken = append(broken, fmt.Sprintf("law 3: %v of %d got %v, of %v", r, key, v, c))
			}
		}
	}
	return broken
}

// returns reports whether the operation returns a result for each of its keys, unless it returns an error.
func returns(kind string) bool {
	return slices.Contains([]string{callOne, callMany, callOuter, callPair, getOrSet, force, forceMany, forcePair, require, requireMany, requirePair}, kind)
}

// transparent: a call returns what its function does, or that its own time is over, which it is by then. Only explicit
// operations return errors of the store.
func (h *history) transparent() (broken []string) {
	bad := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for _, r := range h.records {
		if r.ended == never || r.isLast {
			continue
		}
		took := r.over.Sub(r.began)
		without := r.isClosed || r.mode == bypassed || r.mode == around
		leaves := !isExplicit(r.kind) && (!without || h.plan.config.heeds) // without a cache, it is when the function does
		if r.patience > 0 && took > r.patience+slack && leaves {
			bad("law 1: %v took %v, and had %v", r, took, r.patience)
		}
		if !r.cancelledAt.IsZero() && r.over.Sub(r.cancelledAt) > slack && leaves {
			bad("law 1: %v took %v after it was cancelled", r, r.over.Sub(r.cancelledAt))
		}
		var failed *failure
		switch {
		case r.err == nil:
		case errors.As(r.err, &failed):
			if !h.failedDuring(r, failed) {
				bad("law 5: %v got the error of %v", r, h.computations[failed.id])
			}
		case errors.Is(r.err, errExited):
			if !h.exitedDuring(r) {
				bad("law 5: the goroutine of %v was ended, and not by its function", r)
			}
		case isExplicit(r.kind):
		case r.isInside && (errors.Is(r.err, context.Canceled) || errors.Is(r.err, context.DeadlineExceeded)): // nobody waits for what called it
		case r.patience > 0 && errors.Is(r.err, context.DeadlineExceeded) && took >= r.patience:
		case !r.cancelledAt.IsZero() && errors.Is(r.err, context.Canceled):
		case (r.kind == getOrSet || isRequire(r.kind)) && r.isClosed && errors.Is(r.err, cacheutils.ErrClosed):
		case isRequire(r.kind) && errors.Is(r.err, cacheutils.ErrNoCachedValue):
		case errors.Is(r.err, errDead):
		default:
			bad("law 1: %v got the error %v", r, r.err)
		}
	}
	return broken
}

// failedDuring reports whether a computation of what the call asks for has returned that failure, which may be that of a function
// that it has called, since the call.
func (h *history) failedDuring(r *record, f *failure) bool {
	for _, c := range h.computations {
		var failed *failure
		if c.function == r.function && c.ended >= r.called && overlap(c.keys, r.keys) && errors.As(c.err, &failed) && failed.id == f.id {
			return true
		}
	}
	return false
}

func isExplicit(kind string) bool {
	return slices.Contains([]string{
		set, setMany, setPair, invalidate, invalidateMany, invalidatePair, invalidateGroup, invalidateGroups, clearAll, closing, get, reopen, configure,
	}, kind)
}

func isRequire(kind string) bool {
	return kind == require || kind == requireMany || kind == requirePair
}

func overlap(a, b []int) bool {
	return slices.ContainsFunc(a, func(n int) bool { return slices.Contains(b, n) })
}

// once: where nothing goes wrong and nobody leaves, a key is not computed twice at the same time, unless something that
// invalidates it came in between, and may have taken away the lease of one of the two.
func (h *history) once() (broken []string) {
	if h.plan.config.backend == dummy || h.plan.hasFaults() || h.plan.isHasty() || h.plan.config.timeout < h.plan.config.lease {
		return nil
	}
	all := h.sorted()
	for i, a := range all {
		for _, b := range all[i+1:] {
			if h.isDisturbed(a.process) || h.isDisturbed(b.process) || h.mayOverlap(a, b) || a.given != nil || b.given != nil || a.function != b.function || b.started >= a.ended || b.started == a.started {
				continue
			}
			for _, key := range a.keys {
				if !slices.Contains(b.keys, key) || slices.ContainsFunc(h.records, func(r *record) bool {
					if a.mode == refreshed && r.renews() {
						return false // they are one at a time, whatever that has replaced
					}
					return r.covers(a.function, key, h.groups(a, key)) && r.called <= b.started && r.ended >= min(h.asked(a, key), h.asked(b, key))
				}) {
					continue
				}
				broken = append(broken, fmt.Sprintf("law 4: %v was computing when %v began", a, b))
			}
		}
	}
	return broken
}

// asked returns when the computation was asked for at the earliest, which is before it had its lease.
func (h *history) asked(c *computation, key int) int {
	waits, left := never, 0 // the first call that waits for it, and the last one that doesn't
	for _, r := range h.records {
		switch {
		case r.process != c.process || r.function != c.function || r.called > c.started || !slices.Contains(r.keys, key) || isExplicit(r.kind):
		case r.ended >= c.started:
			waits = min(waits, r.called)
		default:
			left = max(left, r.called)
		}
	}
	if waits == never || left > 0 && h.plan.config.stale > 0 { // it may be a refresh
		return min(waits, left)
	}
	return waits
}

// sorted returns the computations in the order in which they began.
func (h *history) sorted() []*computation {
	var all []*computation
	for _, c := range h.computations {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *computation) int { return a.started*1_000_000 + a.id - b.started*1_000_000 - b.id })
	return all
}

// settled: after the faults have ended and all that was held has come free, each call ends, and what it has computed is found
// by those after it.
func (h *history) settled() (broken []string) {
	for _, r := range h.records {
		if r.settled && r.ended == never {
			broken = append(broken, fmt.Sprintf("law 10: %v has no end", r))
		}
	}
	for _, c := range h.sorted() {
		if h.plan.config.backend != dummy && c.given == nil && c.started > h.allStored && !h.dead[c.process] && !h.closed[c.process] && h.plan.config.timeout >= time.Minute {
			broken = append(broken, fmt.Sprintf("law 10: %v began, though what was computed before should be there", c))
		}
	}
	return broken
}

func (h *history) check() []string {
	return slices.Concat(h.fresh(), h.timely(), h.grouped(), h.exact(), h.transparent(), h.once(), h.kept(), h.steered(), h.settled())
}

// A failure is what a function returns when it fails.
type failure struct{ id int }

func (f *failure) Error() string { return fmt.Sprintf("sim: computation #%d failed", f.id) }
