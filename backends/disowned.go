package backends

import (
	"sync"
	"time"
)

// disowned has the tokens that leases of this process may have left on entries when a server didn't
// answer. An entry that has one counts for nobody, so that nobody here waits for it. The zero
// value is empty.
type disowned struct {
	mu    sync.Mutex
	until map[token]time.Time
}

// disownedFor is how long a token is known. A server that hangs may write it when it goes on.
const disownedFor = time.Minute

func (d *disowned) add(t token, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = make(map[token]time.Time)
	}
	for old, until := range d.until {
		if now.After(until) {
			delete(d.until, old)
		}
	}
	d.until[t] = now.Add(disownedFor)
}

func (d *disowned) has(t token) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.until[t]
	return ok
}
