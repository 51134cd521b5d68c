package memcached

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
)

// A caller who waits for a connection doesn't get it when there is a reason not to use it, though both come at once.
func TestWait_Both(t *testing.T) {
	left, leave := context.WithCancel(context.Background())
	leave()
	over := make(lifetime)
	close(over)
	for _, test := range []struct {
		name   string
		ctx    context.Context
		closed lifetime
		down   bool
		left   time.Duration
		want   error
	}{
		{"the caller has left", left, make(lifetime), true, time.Minute, context.Canceled},
		{"closed", context.Background(), over, true, time.Minute, cacheutils.ErrClosed},
		{"down", context.Background(), make(lifetime), true, 0, errServerDown},
		{"too late", context.Background(), make(lifetime), false, 0, errBusy},
		{"nothing", context.Background(), make(lifetime), false, time.Minute, nil},
	} {
		s := newServer(address{}, limits{maxConns: 1, maxWaiting: 1, failures: 1, probe: time.Second}, test.closed)
		if test.down {
			close(s.tripped)
		}
		for range 50 {
			now := time.Now()
			if err := s.wait(test.ctx, now, now.Add(test.left)); err != test.want {
				t.Fatalf("%s: got %v, want %v", test.name, err, test.want)
			}
			if want := test.want == nil; want != (len(s.slots) == 1) {
				t.Fatalf("%s: %d connections are taken", test.name, len(s.slots))
			}
			if test.want == nil {
				<-s.slots
			}
		}
	}
}
