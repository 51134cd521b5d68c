package sim

import (
	"fmt"
	"slices"
	"time"
)

// Each process has a clock on its wall, which may be ahead of those of the others, or behind, and jump. The servers count by
// their own, which nobody sets.

// Now makes the simulated store an engine.Clock: entries age by the clock of the process.
func (c connection) Now() time.Time { return c.p.now() }

// Now makes the simulated memcached likewise one.
func (o ordered) Now() time.Time { return o.p.now() }

// now returns the time on the process's wall.
func (p *process) now() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }

// setClock has the clock of the process be ahead by some seconds or minutes, or behind, or right.
func (w *world) setClock(p *process) time.Duration {
	var ahead time.Duration
	switch w.rng.IntN(5) {
	case 0:
	case 1, 2:
		ahead = time.Duration(w.rng.Int64N(int64(10*time.Second))) - 5*time.Second
	default:
		ahead = time.Duration(w.rng.Int64N(int64(10*time.Minute))) - 5*time.Minute
	}
	p.ahead.Store(int64(ahead))
	w.mostAhead, w.leastAhead = max(w.mostAhead, ahead), min(w.leastAhead, ahead)
	return ahead
}

// setClocks is what the clocks are when a history begins.
func (w *world) setClocks() {
	if w.faults[clocks] {
		for _, p := range w.processes {
			w.setClock(p)
		}
	}
}

// rightClocks sets all clocks right.
func (w *world) rightClocks() {
	for _, p := range w.processes {
		p.ahead.Store(0)
	}
}

// timely: no call gets a result past its timeout, and the time for which it may be stale. Where clocks differ, that is later
// by as much as two of them were apart at any time.
func (h *history) timely() (broken []string) {
	for _, r := range h.records {
		for key, v := range r.got {
			c := h.computations[v.id]
			if c == nil {
				continue
			}
			over := c.over
			if c.given != nil && c.given.ended != never {
				over = c.given.over
			}
			if lasts := h.lasts(c) + h.apart; !over.IsZero() && r.began.Sub(over) > lasts+time.Millisecond {
				broken = append(broken, fmt.Sprintf("law 2: %v of %d got %v, %v after that had ended, and not within %v", r, key, c, r.began.Sub(over), lasts))
			}
		}
	}
	return broken
}

// lasts returns for how long the computation's result may be served.
func (h *history) lasts(c *computation) time.Duration {
	if c.function == lowName {
		return 300 * time.Second // of package cache: Django's default
	}
	timeout := h.plan.config.timeout
	if c.isNamed {
		timeout = h.plan.config.named
	}
	return timeout + h.plan.config.stale
}

// kept: where nothing goes wrong and nobody leaves, what was computed is not computed again before the least time that Jitter
// leaves of its timeout, unless something has invalidated it.
func (h *history) kept() (broken []string) {
	c := &h.plan.config
	if c.backend != simulatedStore && c.backend != "locmem" || h.plan.hasFaults() || h.plan.isHasty() { // memcached counts in seconds
		return nil
	}
	least := time.Duration((1-c.jitter)*float64(c.timeout)) - time.Millisecond
	all := h.sorted()
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.function != b.function || a.function == lowName || a.given != nil || b.given != nil || a.err != nil || a.isNamed || a.mode != "" || b.mode != "" ||
				b.started <= a.ended || b.began.Sub(a.over) >= least || h.isDisturbed(a.process) || h.isDisturbed(b.process) {
				continue
			}
			for _, key := range a.keys {
				if !slices.Contains(b.keys, key) || slices.ContainsFunc(h.records, func(r *record) bool {
					return r.covers(a.function, key, h.groups(a, key)) && r.called <= b.started && r.ended >= h.asked(a, key)
				}) {
					continue
				}
				broken = append(broken, fmt.Sprintf("law 4: %v began %v after the end of %v, whose result had at least %v", b, b.began.Sub(a.over), a, least))
			}
		}
	}
	return broken
}
