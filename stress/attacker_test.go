//go:build unix

package stress_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// What holds while somebody else writes to the server who knows this library, but no secret of it:
//
//   - No process crashes, no caller of a function gets an error, and every call returns within its bounds: who writes a
//     lease under a key holds it for a lease and two seconds, counted from the last one that was written. A Set says so in
//     an error if the key of a group is overwritten each time that it is written, and stores nothing.
//   - Without a secret, values may be wrong, and outdated ones are not searched for.
//   - With one, no value is wrong, and none is outdated but for those that the attacker has put back under the key
//     from which it had read them, or whose groups it has put back: these are counted, and named in the output.
func TestStress_Attacker(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend string
		groups  bool
		secret  string
		replays bool // under the key of what was recorded; under others there are some in any case
		long    bool // not in the short form
	}{
		{"no secret", "memcached", false, "", true, false},
		{"no secret", "group", true, "", true, true},
		{"secret", "memcached", true, "a secret of the stress run", false, false},
		{"secret", "group", false, "a secret of the stress run", false, true},
		{"secret and replays", "memcached", false, "a secret of the stress run", true, false},
		{"secret and replays", "group", true, "a secret of the stress run", true, true},
	} {
		if c.long && *operationsFlag < 50_000 {
			continue
		}
		t.Run(c.name+"/"+c.backend, func(t *testing.T) {
			server := memcachedtest.Start(t)
			r := start(t, 4, job{
				Backend: c.backend, Groups: c.groups, Operations: share(1./12, 12_000), Clients: 6,
				Location: []string{server.Addr()}, SocketTimeout: "10s", Secret: c.secret, Lease: leaseUnderAttack.String(),
				Forgeries: c.secret == "",
			})
			a := newAttacker(t, server.Addr(), r.memory, c.replays)
			s := r.wait(t, a.attack)
			t.Logf("%s", &s)
			t.Logf("the attacker did %v in %d phases, with %d items recorded of %d keys", a.did, a.phases, a.items, len(a.recorded))

			for _, text := range s.broken {
				t.Errorf("an error or a wrong value came out: %s", text)
			}
			slowest := slices.MaxFunc(s.history, func(a, b record) int { return cmp.Compare(a.Took, b.Took) })
			t.Logf("the slowest: a %s in %v", slowest.Kind, time.Duration(slowest.Took))
			if most := raged + leaseUnderAttack + 2*time.Second + hanging; time.Duration(slowest.Took) > most {
				t.Errorf("a %s took %v, more than %v", slowest.Kind, time.Duration(slowest.Took), most)
			}
			if c.secret != "" {
				a.check(t, s.history)
			}
			for _, what := range attacks {
				if may := (c.replays || what != replaying) && (c.groups || what != emptying && what != swelling); may && a.did[what] == 0 {
					t.Errorf("there was no %s: not a test", what)
				}
			}
			if n := s.count(forged); c.secret == "" && !c.groups && n == 0 {
				t.Error("no value was forged: not a test")
			}
			if s.stats.Hits == 0 || s.stats.Stores == 0 {
				t.Errorf("%d hits and %d stores: not a test", s.stats.Hits, s.stats.Stores)
			}
		})
	}
}

// leaseUnderAttack is short, so that there is time for several attacks.
const leaseUnderAttack = 200 * time.Millisecond

// What the attacker does when, again and again. After the forged leases there is time in which all that is held comes free.
var phases = []struct {
	lasts time.Duration
	kinds []string // of attacks; nil: all
	rests int      // up to so many milliseconds after some attacks
}{
	{storm, nil, 0},
	{storm, []string{replaying}, 0},
	{storm, []string{leasing, touching}, 0},
	{leaseUnderAttack + 2300*time.Millisecond, []string{}, 20},
	{storm, []string{reflagging, guessing, deleting, emptying, swelling, appending}, 50},
}

const (
	storm = 300 * time.Millisecond
	raged = 3 * storm // from the first of the storms that may hold a key to the end of the last
)

// check reports outdated values, but for those that a replay explains, which it names.
func (a *attacker) check(t *testing.T, history []record) {
	replayed := make(map[record]bool)
	var outdated []violation
	for _, v := range findOutdated(history) {
		r, ok := a.explains(v)
		if !ok {
			outdated = append(outdated, v)
			continue
		}
		if replayed[v.read] = true; len(replayed) <= 5 {
			t.Logf("outdated by a replay: %v; %s", v, r)
		}
	}
	for _, v := range outdated[:min(len(outdated), 5)] {
		t.Errorf("outdated: %v", v)
	}
	t.Logf("%d outdated reads, and %d more by %d replays", len(outdated), len(replayed), len(a.replays))
	if len(a.replays) > 0 {
		return // an order of the operations would have to have the attacker's
	}
	if verdict := linearize(history, 30*time.Second); verdict.result != porcupine.Ok {
		t.Errorf("porcupine says %s; that segment has %d, which begin with %v", verdict, len(verdict.bad), verdict.bad[:min(len(verdict.bad), 100)])
	}
}

// A replay is an item that was put back under the key from which it had been read.
type replay struct {
	key         string
	recorded    int64 // the tick after which it was read
	call, ended int64 // the ticks between which it was put back
}

func (r replay) String() string {
	return fmt.Sprintf("%q, recorded after %d, was put back in [%d, %d]", r.key, r.recorded, r.call, r.ended)
}

// explains returns a replay for which a value may be outdated: of the entry or of one of its groups, after the promise
// was called and before the read returned. One of them is of something from before the promise was kept; the last one that
// may have had the value is the one that is named.
func (a *attacker) explains(v violation) (named replay, ok bool) {
	for _, r := range a.replays {
		if !isOf(r.key, int(v.read.Entry)) || r.ended <= v.promise.Call || r.call >= v.read.Return {
			continue
		}
		if !ok && r.recorded < v.promise.Return {
			named, ok = r, true
		}
		if ok && r.recorded > v.read.Value {
			named = r
		}
	}
	return named, ok
}

// isOf reports whether the key is that of the entry or of one of its groups.
func isOf(key string, entry int) bool {
	function := []string{"stress.long", "stress.short"}[entry/keys]
	if strings.Contains(key, "[cached]"+function+"[") && strings.HasSuffix(key, fmt.Sprintf("((%d,))", entry%keys)) {
		return true
	}
	for i, name := range groupNames {
		if groupsOf(entry%keys)&(1<<i) != 0 && strings.HasSuffix(key, "_group::"+name) {
			return true
		}
	}
	return false
}

// The kinds of attacks.
const (
	replaying  = "replay"
	exchanging = "replay under another key"
	mutating   = "mutation"
	reflagging = "replay with other flags"
	guessing   = "random bytes"
	leasing    = "forged lease"
	deleting   = "deletion"
	touching   = "touch"
	emptying   = "group emptied"
	swelling   = "group of 100 KiB"
	appending  = "append"
)

var attacks = []string{replaying, exchanging, mutating, reflagging, guessing, leasing, deleting, touching, emptying, swelling, appending}

// An attacker writes to the server by a connection of its own. It knows what the keys look like, and how a lease does.
type attacker struct {
	t       *testing.T
	nc      net.Conn
	in      *bufio.Reader
	memory  memory
	rng     *rand.Rand
	may     []string
	keys    []string
	phases  int // that have begun
	phase   int // the last one's index
	until   time.Time
	did     map[string]int
	items   int
	replays []replay

	recorded map[string][]item // by key, those that the processes have stored
	forged   map[forgery]bool  // that the attacker has written: to change one back would be a replay
}

// A forgery is what the attacker has put under a key where that was not.
type forgery struct {
	key   string
	flags uint32
	value string
}

type item struct {
	flags    uint32
	value    []byte
	recorded int64
}

func newAttacker(t *testing.T, addr string, m memory, replays bool) *attacker {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	a := &attacker{
		t: t, nc: nc, in: bufio.NewReaderSize(nc, 1<<20), memory: m, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		may: attacks, did: make(map[string]int), recorded: make(map[string][]item), forged: make(map[forgery]bool),
	}
	if !replays {
		a.may = slices.DeleteFunc(slices.Clone(attacks), func(what string) bool { return what == replaying })
	}
	return a
}

// attack does what is to be done at this time, and rests.
func (a *attacker) attack() {
	a.nc.SetDeadline(time.Now().Add(20 * time.Second))
	if len(a.recorded) < entries || a.rng.IntN(50) == 0 {
		a.findKeys()
		for _, key := range a.keys {
			a.record(key)
		}
		if len(a.recorded) < entries { // the processes have not begun
			pause(10)
			return
		}
	}
	if now := time.Now(); !now.Before(a.until) {
		a.phase = a.phases % len(phases)
		a.until = now.Add(phases[a.phase].lasts)
		a.phases++
	}
	phase := &phases[a.phase]
	for _, i := range a.rng.Perm(len(a.may)) {
		if what := a.may[i]; phase.kinds == nil || slices.Contains(phase.kinds, what) {
			a.do(what, a.keys[a.rng.IntN(len(a.keys))])
		}
	}
	if phase.rests > 0 {
		pause(phase.rests)
	}
}

// do attacks the key, or another one for which that is meant.
func (a *attacker) do(what, key string) {
	if what == emptying || what == swelling {
		groups := slices.DeleteFunc(slices.Clone(a.keys), func(key string) bool { return !strings.Contains(key, "_group::") })
		if len(groups) == 0 {
			return
		}
		key = groups[a.rng.IntN(len(groups))]
	}
	a.record(key)
	of := func(key string) item { return a.recorded[key][a.rng.IntN(len(a.recorded[key]))] }
	if len(a.recorded[key]) == 0 {
		return
	}
	own := of(key)
	switch what {
	case replaying:
		call := a.memory.tick()
		a.set(key, own.flags, own.value)
		a.replays = append(a.replays, replay{key, own.recorded, call, a.memory.tick()})
	case exchanging:
		others := slices.DeleteFunc(slices.Collect(maps.Keys(a.recorded)), func(other string) bool { return other == key })
		if len(others) == 0 {
			return
		}
		other := of(others[a.rng.IntN(len(others))])
		a.forge(key, other.flags, other.value)
	case mutating:
		a.forge(key, own.flags, a.mutated(own.value))
	case reflagging:
		a.forge(key, own.flags^1<<a.rng.IntN(32), own.value)
	case guessing:
		a.forge(key, []uint32{own.flags, own.flags, 0, 2, 16, a.rng.Uint32()}[a.rng.IntN(6)], a.random(1<<a.rng.IntN(16)))
	case leasing:
		for range 20 {
			if isFrame(own.value) {
				break
			}
			own = of(key)
		}
		a.forge(key, 0xCA0000, a.lease(own.value))
	case deleting:
		a.ask("delete %s\r\n", key)
	case touching:
		a.ask("touch %s 0\r\n", key)
	case emptying:
		a.forge(key, own.flags, nil)
	case swelling:
		a.forge(key, own.flags, a.random(100<<10))
	case appending:
		a.ask("append %s 0 0 %d\r\n%s\r\n", key, len(tail), tail)
	}
	a.did[what]++
}

// mutated returns a copy of value in which something is different.
func (a *attacker) mutated(value []byte) []byte {
	m := slices.Clone(value)
	switch {
	case len(m) == 0 || a.rng.IntN(4) == 0:
		return append(m, a.random(1+a.rng.IntN(40))...)
	case a.rng.IntN(3) == 0:
		return m[:a.rng.IntN(len(m))]
	default:
		m[a.rng.IntN(len(m))] ^= byte(1 + a.rng.IntN(255))
		return m
	}
}

// isFrame reports whether value looks like an entry that has a fingerprint.
func isFrame(value []byte) bool { return len(value) >= 12 && value[0] == 0xCA && value[1] == 3 }

// lease returns a lease as a process would write it for values such as that, which ends at any time or never.
func (a *attacker) lease(value []byte) []byte {
	const held, empty = 0x10, 0x40
	frame := []byte{0xCA, 3, 0, held | empty}
	if isFrame(value) {
		frame = append(frame, value[4:12]...) // the fingerprint
	} else {
		frame = append(frame, make([]byte, 8)...)
	}
	frame = append(frame, a.random(16)...) // the holder
	until := []int64{0, 1, time.Now().Add(time.Hour).UnixMilli(), 1 << 62}[a.rng.IntN(4)]
	return binary.AppendVarint(frame, until)
}

func (a *attacker) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.rng.Uint32())
	}
	return b
}

// findKeys asks the server for all keys of this library.
func (a *attacker) findKeys() {
	fmt.Fprint(a.nc, "lru_crawler metadump all\r\n")
	found := make(map[string]bool)
	for {
		line := a.line()
		text, ok := strings.CutPrefix(line, "key=")
		if !ok {
			break // END, or BUSY
		}
		text, _, _ = strings.Cut(text, " ")
		if key, err := url.QueryUnescape(text); err == nil {
			found[key] = true
		}
	}
	for _, key := range a.keys {
		found[key] = true
	}
	a.keys = slices.Sorted(maps.Keys(found))
}

// tail is what the attacker appends.
const tail = "abc"

// record notes what is under the key, if a process has stored it.
func (a *attacker) record(key string) {
	const most = 200
	tick := a.memory.tick()
	fmt.Fprintf(a.nc, "get %s\r\n", key)
	for line := a.line(); line != "END"; line = a.line() {
		var flags uint32
		var size int
		if _, err := fmt.Sscanf(line, "VALUE "+key+" %d %d", &flags, &size); err != nil {
			a.t.Fatalf("the attacker got %q: %v", line, err)
		}
		value := make([]byte, size+2)
		if _, err := io.ReadFull(a.in, value); err != nil {
			a.t.Fatal(err)
		}
		value = value[:size]
		if a.forged[forgery{key, flags, string(value)}] || bytes.HasSuffix(value, []byte(tail)) {
			continue
		}
		if all := a.recorded[key]; len(all) < most {
			a.recorded[key] = append(all, item{flags, value, tick})
		} else {
			all[a.rng.IntN(most)] = item{flags, value, tick}
		}
		a.items++
	}
}

// forge puts under the key what no process has stored there.
func (a *attacker) forge(key string, flags uint32, value []byte) {
	a.forged[forgery{key, flags, string(value)}] = true
	a.set(key, flags, value)
}

func (a *attacker) set(key string, flags uint32, value []byte) {
	a.ask("set %s %d %d %d\r\n%s\r\n", key, flags, a.rng.IntN(2)*3600, len(value), value)
}

// ask sends a command whose answer is one line, whatever that says.
func (a *attacker) ask(format string, args ...any) {
	if _, err := fmt.Fprintf(a.nc, format, args...); err != nil {
		a.t.Fatal(err)
	}
	a.line()
}

func (a *attacker) line() string {
	line, err := a.in.ReadString('\n')
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}
