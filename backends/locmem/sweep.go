package locmem

import "time"

// What has expired is dropped by a timer, which is set while there is something in the store. A goroutine that waits for
// ticks would do as well, but not in a bubble of testing/synctest: a store that was first used in one would keep it from
// ending, and its channel could not be used outside.

// sweepEvery is how often what has expired is dropped.
const sweepEvery = time.Second

// sweepLater has what has expired dropped after a while. An alarm that is long over, or far off, is one that never comes:
// it was set in a bubble that has ended, or outside of the one that this is.
func (s *store) sweepLater(now time.Duration) {
	alarm := s.alarm.Load()
	if wait := time.Duration(alarm) - now; alarm != 0 && wait <= sweepEvery && wait > -sweepEvery {
		return
	}
	next := int64(now + sweepEvery)
	if next == 0 || !s.alarm.CompareAndSwap(alarm, next) {
		return // somebody else has set one
	}
	time.AfterFunc(sweepEvery, func() {
		if s.alarm.CompareAndSwap(next, 0) {
			s.sweep()
		}
	})
}

// sweep drops what has expired, and comes again unless that was all.
func (s *store) sweep() {
	s.cache().CleanUp()
	holds := s.cache().EstimatedSize() > 0
	for i := range s.shards {
		sh := &s.shards[i]
		sh.Lock()
		if !sh.isIdle() {
			sh.sweep()
		}
		holds = holds || len(sh.markers) > 0
		sh.Unlock()
	}
	if holds {
		s.sweepLater(now())
	}
}
