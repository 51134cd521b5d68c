//go:build linux

package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// 64 goroutines call decorated functions, some with groups, on three servers that are killed,
// stopped and started again at random, and invalidate what they call for: every result is
// right, none is an error, and none is older than an invalidation that returned nil; a server
// has a hit at most 2 s after it is back; after Close no goroutine and no socket is left.
func TestFault_Soak(t *testing.T) {
	var servers []*memcachedtest.Server
	var addrs []string
	for range 3 {
		s := memcachedtest.Start(t)
		servers, addrs = append(servers, s), append(addrs, s.Addr())
	}
	goroutines := runtime.NumGoroutine()
	c := configure(t, nil, addrs...)
	s := &soak{cache: c}
	s.call, s.handle = decorators.Cached(loader(s.load), decorators.Key(t.Name()), decorators.Timeout(time.Minute))
	s.grouped, _ = decorators.Cached(loader(s.load), decorators.Key(t.Name()+"g"), decorators.GroupsOf(func(_ context.Context, n int) []string {
		return []string{"all", group(n)}
	}))

	var done atomic.Bool
	var callers sync.WaitGroup
	for g := range soakers {
		callers.Go(func() {
			for !done.Load() {
				s.step(t, g)
			}
		})
	}
	worst, rounds := disturb(t, servers, pick(4*time.Second, 60*time.Second))
	done.Store(true)
	callers.Wait()

	what := fmt.Sprintf("soak, %d disturbances, %d calls, %d runs, %d invalidations of which %d failed", rounds, s.calls.Load(), s.runs.Load(),
		s.invalidations.Load(), s.failures.Load())
	if calls, runs, held := s.calls.Load(), s.runs.Load(), s.invalidations.Load()-s.failures.Load(); rounds == 0 || runs == 0 || runs == calls || held == 0 {
		t.Errorf("%s: one of them is missing: not a test", what)
	}
	exactly(t, what+": errors", 0, int(s.errors.Load()), notRun)
	exactly(t, "soak: wrong results", 0, int(s.wrong.Load()), notRun)
	exactly(t, "soak: results older than an invalidation", 0, int(s.outdated.Load()), notRun)
	strictly(t, "soak: first hit after a server is back, at worst", 2*time.Second, worst, notRun)

	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, one := range servers {
		eventually(t, "the sockets to "+one.Addr()+" are closed", func() bool { return connections(t, one) <= 0 })
	}
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	exactly(t, "soak: goroutines left", 0, max(0, runtime.NumGoroutine()-goroutines), notRun)
}

const soakers = 64

// A soak is what its goroutines call. What counts for n has a version, which only the nth
// goroutine raises, and a floor: the version of the last invalidation that returned nil.
type soak struct {
	cache         *backends.Cache
	call, grouped loader
	handle        *decorators.Handle[loader]
	version       [soakers]atomic.Int64
	floor         [soakers]atomic.Int64 // for call
	groupFloor    [soakers]atomic.Int64 // for grouped

	calls, runs, invalidations, failures, errors, wrong, outdated atomic.Int64
}

func group(n int) string { return fmt.Sprint("group ", n%8) }

func (s *soak) load(_ context.Context, n int) (string, error) {
	s.runs.Add(1)
	return fmt.Sprintf("%d/%d", n, s.version[n].Load()), nil
}

// step does one thing at random: mostly it calls, for its own number or another's.
func (s *soak) step(t *testing.T, g int) {
	switch rand.IntN(40) {
	case 0:
		v := s.version[g].Add(1)
		s.invalidated(s.handle.Invalidate(ctx, g), &s.floor[g], v)
	case 1:
		v := s.version[g].Add(1)
		s.invalidated(s.cache.InvalidateGroup(ctx, group(g)), &s.groupFloor[g], v)
	case 2, 3, 4:
		s.check(t, s.call, g, &s.floor[g])
	case 5, 6, 7:
		s.check(t, s.grouped, g, &s.groupFloor[g])
	default:
		n := rand.IntN(soakers)
		if n%2 == 0 {
			s.check(t, s.call, n, &s.floor[n])
		} else {
			s.check(t, s.grouped, n, &s.groupFloor[n])
		}
	}
	time.Sleep(rand.N(4 * time.Millisecond)) // or the calls alone keep both cores busy
}

func (s *soak) invalidated(err error, floor *atomic.Int64, version int64) {
	s.invalidations.Add(1)
	if err != nil {
		s.failures.Add(1)
		return
	}
	floor.Store(version)
}

func (s *soak) check(t *testing.T, call loader, n int, floor *atomic.Int64) {
	least := floor.Load()
	got, err := call(ctx, n)
	s.calls.Add(1)
	var gotN int
	var version int64
	switch _, scanErr := fmt.Sscanf(got, "%d/%d", &gotN, &version); {
	case err != nil:
		s.errors.Add(1)
		t.Error(err)
	case scanErr != nil || gotN != n:
		s.wrong.Add(1)
		t.Errorf("%d: got %q", n, got)
	case version < least:
		s.outdated.Add(1)
		t.Errorf("%d: got version %d, %d was invalidated", n, version, least-1)
	}
}

// disturb kills, stops and restarts servers for that time, one or two at once. It returns the longest
// time from a server's return to its first hit, and how often it did something.
func disturb(t *testing.T, servers []*memcachedtest.Server, lasts time.Duration) (worst time.Duration, rounds int) {
	for start := time.Now(); time.Since(start) < lasts; rounds++ {
		mend := map[*memcachedtest.Server]func(){}
		for _, i := range rand.Perm(len(servers))[:1+rand.IntN(2)] {
			mend[servers[i]] = hurt(servers[i])
		}
		time.Sleep(rand.N(600*time.Millisecond) * time.Duration(rand.IntN(2))) // or not at all
		for s, mended := range mend {
			mended()
			worst = max(worst, untilHit(t, s))
		}
	}
	return worst, rounds
}

// hurt kills a server or makes it hang, and returns what mends it.
func hurt(s *memcachedtest.Server) (mended func()) {
	if rand.IntN(2) == 0 {
		s.Stop()
		return s.Restart
	}
	s.Pause()
	return s.Resume
}

// untilHit returns how long it takes until the server has one hit more than now.
func untilHit(t *testing.T, s *memcachedtest.Server) time.Duration {
	t.Helper()
	hits := func() int {
		n, err := strconv.Atoi(s.Stats(t)["get_hits"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := hits()
	return eventually(t, "a hit on "+s.Addr(), func() bool { return hits() > before })
}
