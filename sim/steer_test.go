package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
)

// What some histories have besides: calls whose contexts say what they do with the cache, and errors that are results.

// What a context says.
const (
	refreshed = "refresh"
	bypassed  = "bypass"
	around    = "bypassIf" // the functions' BypassIf says true
)

var allModes = []string{refreshed, bypassed, around}

// named is what happened when a function has returned an error that its CacheErrors names.
const named = "named error"

// steer has a part of the plans do so. What it draws changes nothing of the others.
func (p *plan) steer() {
	rng := rand.New(rand.NewPCG(p.seed, 3))
	if rng.IntN(3) > 0 {
		return
	}
	if rng.IntN(2) == 0 {
		p.config.named = []time.Duration{time.Minute, 20 * time.Millisecond}[rng.IntN(2)]
	}
	often := 2 + rng.IntN(6)
	for i := range p.operations {
		o := &p.operations[i]
		if rng.IntN(often) > 0 {
			continue
		}
		switch mode := allModes[rng.IntN(3)]; o.kind {
		case callOne, callMany, callOuter, require, requireMany, force, forceMany:
			o.mode = mode
		case getOrSet:
			if mode != around { // it has no function
				o.mode = mode
			}
		}
	}
}

type (
	modeKey   struct{}
	forcedKey struct{} // the context is of a ForceRecalc
)

// under returns a context that says the mode.
func under(ctx context.Context, mode string) context.Context {
	ctx = context.WithValue(ctx, modeKey{}, mode)
	switch mode {
	case refreshed:
		return cacheutils.Refresh(ctx)
	case bypassed:
		return cacheutils.Bypass(ctx)
	default:
		return ctx
	}
}

// modeOf returns what a context says.
func modeOf(ctx context.Context) string {
	mode, _ := ctx.Value(modeKey{}).(string)
	return mode
}

// isAround is the functions' BypassIf.
func isAround(ctx context.Context, _ int) bool { return modeOf(ctx) == around }

// errNamed is the error that is a result.
var errNamed = errors.New("there is none")

// steered returns the options of a function.
func (c *config) steered(name string) []decorators.Option {
	all := []decorators.Option{decorators.BypassIf(isAround), decorators.IgnoreContext[modeKey]()}
	if c.named > 0 && name != manyName {
		all = append(all, decorators.CacheErrors(c.named, errors.New("nobody returns this"), errNamed))
	}
	return all
}

// nameError returns the error of a computation that is a result.
func nameError(id int) error { return fmt.Errorf("sim: computation #%d: %w", id, errNamed) }

// idOf returns the computation of an error that is a result, or 0.
func idOf(err error) int {
	if !errors.Is(err, errNamed) {
		return 0
	}
	text, _ := strings.CutPrefix(err.Error(), "sim: computation #")
	id, _, _ := strings.Cut(text, ":")
	n, _ := strconv.Atoi(id)
	return n
}

// steered: a call under Refresh gets nothing whose computation began before it, one that bypasses the cache what was computed for it, and
// RequireCache gets nothing there. What such a call has stored stands for the promise of ForceRecalc.
func (h *history) steered() (broken []string) {
	bad := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for _, r := range h.records {
		if r.mode == "" {
			continue
		}
		for key, v := range r.got {
			c := h.computations[v.id]
			switch {
			case r.kind == require || r.kind == requireMany:
				bad("steer: %v of %d got %v", r, key, c)
			case c == nil || r.kind == force || r.kind == forceMany || r.mode == around && r.kind == getOrSet:
			case c.started < r.called:
				bad("steer: %v of %d got %v, which began before it", r, key, c)
			case r.mode == refreshed && c.mode != refreshed && r.kind != getOrSet && !r.isClosed: // what is set while a GetOrSet computes stays
				bad("steer: %v of %d got %v, which is of a call without Refresh", r, key, c)
			case r.mode != refreshed && (c.mode != r.mode || c.process != r.process):
				bad("steer: %v of %d got %v, which is of another call", r, key, c)
			}
		}
	}
	return append(broken, h.alone()...)
}

// alone: what a computation without the cache has made is got by nobody else.
func (h *history) alone() (broken []string) {
	got := make(map[value]*record)
	for _, r := range h.records {
		for _, v := range r.got {
			c := h.computations[v.id]
			if c == nil || c.mode != bypassed && c.mode != around || r.kind == force || r.kind == forceMany || c.isForced {
				continue
			}
			if other := got[v]; other != nil {
				broken = append(broken, fmt.Sprintf("steer: both %v and %v got %v, which is of a call without the cache", other, r, c))
			}
			got[v] = r
		}
	}
	return broken
}

// mayOverlap reports whether computations of one key may be under way at the same time: one that has nothing to do with the cache, or
// one under Refresh with any that isn't, or in another process or another set of the same.
func (h *history) mayOverlap(a, b *computation) bool {
	apart := func(c *computation) bool { return c.mode == bypassed || c.mode == around }
	return apart(a) || apart(b) || a.mode != b.mode || a.mode == refreshed && (a.process != b.process || h.replaced[a.process])
}

// renews reports whether the operation replaces what is cached as a ForceRecalc does.
func (r *record) renews() bool {
	return r.mode == refreshed && slices.Contains([]string{callOne, callMany, callOuter, getOrSet}, r.kind)
}
