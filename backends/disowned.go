package backends

import (
	"sync"
	"time"
)

// disowned has the tokens that leases of this process may have left on entries when a server didn't
// answer. An entry that has one counts for nobody, so that nobody here waits for it. A token is
// known for one to two disownedFor: a server that hangs may write it when it goes on. The zero
// value is empty.
type disowned struct {
	mu       sync.Mutex
	tokens   map[token]bool
	older    map[token]bool // those from before tokens was begun
	turnover time.Time      // when tokens become older
}

const disownedFor = time.Minute

func (d *disowned) add(t token, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	if d.tokens == nil {
		d.tokens, d.turnover = make(map[token]bool), now.Add(disownedFor)
	}
	d.tokens[t] = true
}

func (d *disowned) has(t token, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	return d.tokens[t] || d.older[t]
}

func (d *disowned) forget(now time.Time) {
	if d.tokens == nil || now.Before(d.turnover) {
		return
	}
	d.older = d.tokens
	if now.After(d.turnover.Add(disownedFor)) {
		d.older = nil
	}
	d.tokens = nil
}
