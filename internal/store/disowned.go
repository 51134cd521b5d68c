package store

import (
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// disowned has the tokens that leases of this process may have left on entries when a server didn't
// answer. An entry that has one counts for nobody, so that nobody here waits for it. A token is
// known for one to two disownedFor: a server that hangs may write it when it goes on. The zero
// value is empty.
type disowned struct {
	mu       sync.Mutex
	tokens   map[entry.Token]bool
	older    map[entry.Token]bool // those of the time before
	turnover time.Time            // when tokens become older, and the older ones are forgotten
}

const disownedFor = time.Minute

func (d *disowned) add(t entry.Token, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	if d.tokens == nil {
		d.tokens = make(map[entry.Token]bool)
	}
	d.tokens[t] = true
}

func (d *disowned) has(t entry.Token, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	return d.tokens[t] || d.older[t]
}

func (d *disowned) forget(now time.Time) {
	switch {
	case now.Before(d.turnover):
	case now.Before(d.turnover.Add(disownedFor)):
		d.tokens, d.older = nil, d.tokens
		d.turnover = d.turnover.Add(disownedFor)
	default:
		d.tokens, d.older = nil, nil
		d.turnover = now.Add(disownedFor)
	}
}
