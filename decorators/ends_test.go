package decorators_test

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A timeout that isn't of whole seconds holds on every engine: no call that starts after it gets the result, and none that
// has ended before it is a miss.
func TestTimeout_Ends(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, timeout := range []time.Duration{100 * time.Millisecond, 1100 * time.Millisecond} {
			var stored time.Time // when the function returned
			runs := 0
			F, _ := decorators.Cached1(func(context.Context, string) (int, error) {
				runs++
				stored = time.Now()
				return runs, nil
			}, decorators.Key("ends."+timeout.String()), decorators.Timeout(timeout))
			ctx := context.Background()
			if _, err := F(ctx, timeout.String()); err != nil {
				t.Fatal(err)
			}
			latest, earliest := time.Now().Add(timeout), stored.Add(timeout-time.Millisecond) // it is kept in milliseconds
			for {
				began := time.Now()
				n, err := F(ctx, timeout.String())
				if err != nil {
					t.Fatal(err)
				}
				if n == runs && n == 1 {
					if began.After(latest) {
						t.Fatalf("a result with a timeout of %v was served %v after that", timeout, began.Sub(latest))
					}
					time.Sleep(5 * time.Millisecond)
					continue
				}
				if stored.Before(earliest) {
					t.Errorf("a result with a timeout of %v ended %v before that", timeout, earliest.Sub(stored))
				}
				break
			}
		}
	})
}
