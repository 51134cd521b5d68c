package store

import (
	"context"
	"sync"
)

// A background runs what goes on after the call that began it has returned, until the Store is
// closed. The zero value runs nothing yet.
type background struct {
	mu     sync.Mutex
	ctx    context.Context // of what runs; nil: nothing has
	end    context.CancelFunc
	closed bool
	runs   sync.WaitGroup
}

// run runs f on a goroutine of its own, with a context that ends when the Store is closed. Once it
// is closed, nothing is run any more.
func (b *background) run(f func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if b.ctx == nil {
		b.ctx, b.end = context.WithCancel(context.Background())
	}
	ctx := b.ctx
	b.runs.Go(func() { f(ctx) })
}

// close ends what runs, and returns when it has ended.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	if b.end != nil {
		b.end()
	}
	b.mu.Unlock()
	b.runs.Wait()
}
