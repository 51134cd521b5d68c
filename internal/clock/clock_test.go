package clock

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCompare(t *testing.T) {
	var monotonic, wall time.Duration
	c := comparison{read: func() (time.Duration, time.Duration) { return monotonic, wall }}
	for _, step := range []struct {
		name            string
		monotonic, wall time.Duration // how far they go on
		want            time.Duration // how far the process's time does
	}{
		{"both go on", time.Hour, time.Hour, time.Hour},
		{"they differ by little", time.Second, time.Second + 99*time.Millisecond, time.Second},
		{"and by no more", time.Second, time.Second - 99*time.Millisecond, time.Second},
		{"the machine slept", time.Second, time.Hour, time.Hour},
		{"both go on again", time.Hour, time.Hour, time.Hour},
		{"the clock is put back", time.Second, -3 * time.Hour, time.Second},
		{"the machine sleeps after that", time.Second, time.Minute, time.Minute},
		{"the clock is put forward again", time.Second, 3 * time.Hour, 3 * time.Hour},
		{"many short naps", time.Second, time.Second + 60*time.Millisecond, time.Second},
		{"add up", time.Second, time.Second + 60*time.Millisecond, time.Second + 120*time.Millisecond},
	} {
		before := monotonic + time.Duration(c.ahead.Load())
		monotonic += step.monotonic
		wall += step.wall
		c.compare()
		if got := monotonic + time.Duration(c.ahead.Load()) - before; got != step.want {
			t.Errorf("%s: want the time to go on by %v, got %v", step.name, step.want, got)
		}
		if got := time.Duration(c.next.Load()); got != monotonic+compareEvery {
			t.Errorf("%s: want the next comparison at %v, got %v", step.name, monotonic+compareEvery, got)
		}
	}
}

func TestNow(t *testing.T) {
	var mu sync.Mutex
	var ahead time.Duration
	put := func(d time.Duration) { mu.Lock(); ahead = d; mu.Unlock() }
	defer SetWall(func() time.Duration { mu.Lock(); defer mu.Unlock(); return ahead })()
	first, apart := Now(), time.Until(Time())
	put(-time.Hour)
	isPutBack := func() bool {
		process.mu.Lock()
		defer process.mu.Unlock()
		return process.last < -time.Minute
	}
	for begin := time.Now(); !isPutBack(); {
		if now := Now(); now < first || now > first+time.Minute || time.Since(begin) > 20*time.Second {
			t.Fatalf("want %v to go on when the clock is put back, got %v", first, now)
		}
	}
	put(time.Hour)
	for begin := time.Now(); Now() < first+2*time.Hour; {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("want a clock that is put forward by two hours to be noticed")
		}
	}
	if d := time.Until(Time()) - apart; d < time.Hour || d > 3*time.Hour {
		t.Errorf("want a Time two hours ahead, it is %v", d)
	}
}

func TestNow_Bubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, at := Now(), Time()
		time.Sleep(time.Hour)
		if got := Now() - first; got != time.Hour {
			t.Errorf("want an hour to pass, got %v", got)
		}
		if got := Time().Sub(at); got != time.Hour {
			t.Errorf("want an hour to pass, got %v", got)
		}
	})
}

func TestNow_ManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := Now()
			for range 100_000 {
				now := Now()
				if now < last {
					t.Errorf("want the time to go on, from %v to %v", last, now)
					return
				}
				last = now
			}
		})
	}
	wg.Wait()
}
