package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A plan is what is done in a history, and what may befall it. It follows from the seed; a smaller one may do as well.
type plan struct {
	seed                        uint64
	schedule                    uint64 // decides, with the seed, in which order events happen
	processes, servers, callers int    // callers of each process
	keys                        int
	faults                      map[string]bool
	config                      config
	operations                  []operation
}

// A config is what the functions and the backends of all processes are told.
type config struct {
	timeout, stale, lease time.Duration
	jitter                float64
	later, each, heeds    bool // the functions heed their contexts
	absent                bool
	backend               string
	network               *network // of "memcached"
	slow                  bool     // some computations take longer than a lease
	apart                 bool     // the results of the outer function are in a group of their own, and in no other
	settles               bool     // once the faults have ended, all that was held has to come free
	lingers               bool     // the functions are told how long they go on when nobody waits for them
	linger                time.Duration
	named                 time.Duration // how long errors are kept that CacheErrors names, which the functions of one key return now and then; 0: there are none
	program               bool          // the first process uses the program's set, which Configure replaces
}

// simulatedStore is the backend whose engine is in server_test.go.
const simulatedStore = "store"

// The kinds of faults.
const (
	broken    = "broken-connection"
	evictions = "eviction"
	flushes   = "flush"
	stops     = "stopped-process"
	deaths    = "dead-process"
	outages   = "server-away"
	failures  = "failing-function"

	// Those of plan.complete.
	exits    = "exiting-function"
	clocks   = "clock-jumps"
	freezes  = "frozen-server"
	drops    = "dropped-connections"
	restarts = "server-restarts-empty"
	restores = "old-data-restored"
	repeats  = "answer-twice"
)

var (
	someFaults = []string{broken, evictions, flushes, stops, deaths, outages, failures} // each in one of two histories with faults
	allFaults  = append(slices.Clone(someFaults), exits, clocks, freezes, drops, restarts, restores, repeats)
)

// The kinds of operations.
const (
	callOne         = "call"
	callMany        = "callMany"
	callOuter       = "callOuter" // of a function that calls another one
	require         = "require"
	force           = "force"
	set             = "set"
	invalidate      = "invalidate"
	invalidateGroup = "invalidateGroup"
	clearAll        = "clearAll"
	getOrSet        = "getOrSet"
	requireMany     = "requireMany"
	forceMany       = "forceMany"
	setMany         = "setMany"
	invalidateMany  = "invalidateMany"
	closing         = "close" // of a process's backends

	// Those of plan.extend.
	get              = "get"
	invalidateGroups = "invalidateGroups"

	// Those of plan.complete.
	callPair       = "callPair" // of the function with several results
	requirePair    = "requirePair"
	forcePair      = "forcePair"
	setPair        = "setPair"
	invalidatePair = "invalidatePair"
	reopen         = "reopen"    // another set for a process, whose own one is closed then
	configure      = "configure" // the program's set is replaced
)

var allOperations = []string{
	callOne, callMany, callOuter, require, force, set, invalidate, invalidateGroup, clearAll, getOrSet, requireMany, forceMany, setMany, invalidateMany, closing,
	get, invalidateGroups,
	callPair, requirePair, forcePair, setPair, invalidatePair, reopen, configure,
}

// An operation is what one caller does.
type operation struct {
	process, caller int
	kind            string
	keys            []int
	group           string
	patience        time.Duration // of its context; 0: forever
	cancelled       bool          // its context is, at some time
	mode            string        // what its context says; empty: nothing
	isLate          bool          // its context has ended before
}

func (o *operation) String() string { return o.who() + " " + o.what() }

// who is the caller.
func (o *operation) who() string { return "c" + strconv.Itoa(o.caller) }

// what is all that String says but who.
func (o *operation) what() string {
	text := o.kind + " "
	if o.group != "" && o.keys == nil {
		text += o.group
	} else {
		text += textOf(o.keys)
	}
	if o.group != "" && o.keys != nil {
		text += " in " + o.group
	}
	if o.mode != "" {
		text += " under " + o.mode
	}
	if o.patience > 0 {
		text += " within " + o.patience.String()
	}
	if o.cancelled {
		text += ", cancelled"
	}
	if o.isLate {
		text += ", too late"
	}
	return text
}

// textOf is what package fmt has for the keys.
func textOf(keys []int) string {
	text := []byte{'['}
	for i, key := range keys {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, int64(key), 10)
	}
	return string(append(text, ']'))
}

// groups are those that the results for a key are in.
func groups(key int) []string { return []string{"all", []string{"even", "odd"}[key%2]} }

// planFor returns the plan of a seed.
func planFor(seed uint64) *plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	one := func(n int) bool { return rng.IntN(n) == 0 }
	pick := func(d ...time.Duration) time.Duration { return d[rng.IntN(len(d))] }
	p := &plan{
		seed: seed, processes: 2 + rng.IntN(2), servers: 1 + rng.IntN(2), callers: 1 + rng.IntN(3), keys: 1 + rng.IntN(3),
		faults: make(map[string]bool),
		config: config{
			timeout: pick(time.Minute, time.Minute, 20*time.Millisecond), stale: pick(0, time.Minute, 10*time.Second),
			lease: pick(5*time.Second, time.Second), later: one(3), each: one(2), heeds: one(2), absent: one(3),
			settles: seed%4 == 0,
		},
	}
	if one(3) {
		p.config.jitter = 0.5
	}
	if !one(4) {
		for _, fault := range someFaults {
			p.faults[fault] = one(2)
		}
	}
	p.config.backend = simulatedStore
	if one(10) {
		p.config.backend = "locmem"
		p.faults[deaths] = false // it is in the memory of one process
	}
	if p.config.network = networkFor(seed); p.config.network != nil {
		p.config.backend = "memcached"
	}
	hasty := one(2) // some callers have little time
	for range 12 + rng.IntN(30) {
		o := operation{process: rng.IntN(p.processes), caller: rng.IntN(p.callers), kind: callOne, keys: []int{rng.IntN(p.keys)}}
		switch n := rng.IntN(100); {
		case n < 40:
		case n < 50:
			o.kind, o.keys = callMany, rng.Perm(p.keys)[:1+rng.IntN(p.keys)]
		case n < 57:
			o.kind = callOuter
		case n < 63:
			o.kind = require
		case n < 68:
			o.kind = force
		case n < 72:
			o.kind = set
		case n < 88:
			o.kind = invalidate
		case n < 96:
			o.kind, o.keys, o.group = invalidateGroup, nil, []string{"all", "even", "odd"}[rng.IntN(3)]
		case n < 97:
			o.kind, o.keys = clearAll, nil
		default:
			o.kind = getOrSet
		}
		switch n := rng.IntN(60); {
		case n < 2:
			o.kind, o.group, o.keys = requireMany, "", rng.Perm(p.keys)
		case n < 3:
			o.kind, o.group, o.keys = forceMany, "", rng.Perm(p.keys)
		case n < 4:
			o.kind, o.group, o.keys = setMany, "", rng.Perm(p.keys)[:1+rng.IntN(p.keys)]
		case n < 7:
			o.kind, o.group, o.keys = invalidateMany, "", rng.Perm(p.keys)[:1+rng.IntN(p.keys)]
		case n == 7 && one(20):
			o.kind, o.group, o.keys = closing, "", nil
		}
		o.cancelled = hasty && one(8)
		if hasty && one(4) {
			o.patience = time.Duration(1+rng.IntN(300))*time.Millisecond + time.Duration(rng.IntN(1e6))
		}
		p.operations = append(p.operations, o)
	}
	p.extend()
	p.steer()
	p.complete()
	return p
}

// A reduction is what is left of the plan of a seed: "430 schedule 7 faults flush,eviction operations 0,3,17".
type reduction struct {
	seed, schedule uint64
	faults         []string
	operations     []int // indices in the plan of the seed
}

func (p *plan) reduction() reduction {
	r := reduction{seed: p.seed, schedule: p.schedule}
	for _, fault := range allFaults {
		if p.faults[fault] {
			r.faults = append(r.faults, fault)
		}
	}
	for i := range p.operations {
		r.operations = append(r.operations, i)
	}
	return r
}

func (r reduction) plan() *plan {
	p := planFor(r.seed)
	p.schedule = r.schedule
	clear(p.faults)
	for _, fault := range r.faults {
		p.faults[fault] = true
	}
	all := p.operations
	p.operations = nil
	for _, i := range r.operations {
		p.operations = append(p.operations, all[i])
	}
	return p
}

func (r reduction) String() string {
	text := fmt.Sprintf("%d schedule %d", r.seed, r.schedule)
	if len(r.faults) > 0 {
		text += " faults " + strings.Join(r.faults, ",")
	}
	var indices []string
	for _, i := range r.operations {
		indices = append(indices, strconv.Itoa(i))
	}
	return text + " operations " + strings.Join(indices, ",")
}

// parseReduction reads what String returns, or a seed alone.
func parseReduction(text string) (r reduction, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return r, errors.New("no seed")
	}
	if r.seed, err = strconv.ParseUint(words[0], 10, 64); err != nil {
		return r, err
	}
	if len(words) == 1 {
		return planFor(r.seed).reduction(), nil
	}
	words = words[1:]
	for ; len(words) >= 2; words = words[2:] {
		switch words[0] {
		case "schedule":
			if r.schedule, err = strconv.ParseUint(words[1], 10, 64); err != nil {
				return r, err
			}
		case "faults":
			for _, fault := range strings.Split(words[1], ",") {
				if !slices.Contains(allFaults, fault) {
					return r, fmt.Errorf("there is no fault %q", fault)
				}
				r.faults = append(r.faults, fault)
			}
		case "operations":
			all := len(planFor(r.seed).operations)
			for _, index := range strings.Split(words[1], ",") {
				i, err := strconv.Atoi(index)
				if err != nil || i < 0 || i >= all {
					return r, fmt.Errorf("there is no operation %q: there are %d", index, all)
				}
				r.operations = append(r.operations, i)
			}
		default:
			return r, fmt.Errorf("%q is neither schedule, faults nor operations", words[0])
		}
	}
	if len(words) > 0 {
		return r, fmt.Errorf("nothing follows %q", words[0])
	}
	return r, nil
}

// hasFaults reports whether anything may go wrong.
func (p *plan) hasFaults() bool {
	return slices.ContainsFunc(allFaults, func(fault string) bool { return p.faults[fault] })
}

// isHasty reports whether callers may leave before they have a result.
func (p *plan) isHasty() bool {
	return slices.ContainsFunc(p.operations, func(o operation) bool { return o.patience > 0 || o.cancelled || o.isLate })
}
