package store

import (
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// orphans has the tokens that leases of this process may have left on entries when a server didn't
// answer. An entry that has one counts for nobody, so that nobody here waits for it. A token is
// known for one to two orphanedFor: a server that hangs may write it when it goes on. Of very many the last are known:
// others wait for those that are not, as other processes do, until the lease is over. The zero value is empty.
type orphans struct {
	mu       sync.Mutex
	tokens   map[entry.Token]bool
	older    map[entry.Token]bool // those of the time before
	turnover time.Time            // when tokens become older, and the older ones are forgotten
}

const (
	orphanedFor = time.Minute
	maxOrphans  = 50_000 // of tokens, and of older ones
)

func (d *orphans) add(t entry.Token, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	if d.tokens == nil {
		d.tokens = make(map[entry.Token]bool)
	}
	if len(d.tokens) >= maxOrphans {
		d.tokens, d.older = make(map[entry.Token]bool), d.tokens
	}
	d.tokens[t] = true
}

func (d *orphans) has(t entry.Token, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	return d.tokens[t] || d.older[t]
}

func (d *orphans) forget(now time.Time) {
	switch {
	case now.Before(d.turnover):
	case now.Before(d.turnover.Add(orphanedFor)):
		d.tokens, d.older = nil, d.tokens
		d.turnover = d.turnover.Add(orphanedFor)
	default:
		d.tokens, d.older = nil, nil
		d.turnover = now.Add(orphanedFor)
	}
}
