package sim

import (
	"math/rand/v2"
	"time"
)

// What else has to be met in some histories.
const (
	panicked  = "panic of a function"
	endedCall = "call whose goroutine was ended by its function"
	endedSoon = "call whose context had ended before"
	changed   = "arguments changed while their function ran"
	closedFor = "call whose backends were closed under it"
	replaced  = "Configure under a call"
	apart     = "result served by a process with another time of day"
)

var allElse = []string{panicked, endedCall, endedSoon, changed, closedFor, replaced, apart}

// complete has a part of the plans do and suffer what the others don't. What it draws changes nothing of the others.
func (p *plan) complete() {
	rng := rand.New(rand.NewPCG(p.seed, 4))
	one := func(n int) bool { return rng.IntN(n) == 0 }
	shared := p.config.backend == simulatedStore || p.config.backend == "memcached" // by processes on several hosts
	if p.hasFaults() {
		p.faults[exits] = one(6)
		for _, fault := range []string{clocks, freezes, drops, restarts} {
			p.faults[fault] = one(5) && shared
		}
		p.faults[restores] = one(16) && shared
		p.faults[repeats] = one(4) && p.config.backend == "memcached"
	}
	if one(8) {
		p.config.timeout = time.Duration(2+rng.IntN(7)) * time.Millisecond
	}
	if one(3) {
		p.addPairs(rng)
	}
	if one(8) {
		for range 1 + rng.IntN(2) {
			p.replace(rng, operation{process: rng.IntN(p.processes), kind: reopen})
		}
	}
	if p.config.program = one(10); p.config.program {
		for range 1 + rng.IntN(3) {
			p.replace(rng, operation{kind: configure})
		}
	}
	if p.isHasty() {
		for i := range p.operations {
			if o := &p.operations[i]; o.kind != closing && o.kind != reopen && o.kind != configure && one(20) {
				o.isLate, o.cancelled, o.patience = true, false, 0
			}
		}
	}
}

// replace puts o, which is one of any caller of its process, in the place of another operation.
func (p *plan) replace(rng *rand.Rand, o operation) {
	o.caller = rng.IntN(p.callers)
	p.operations[rng.IntN(len(p.operations))] = o
}
