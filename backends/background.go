package backends

import (
	"context"
	"sync"
)

// A background runs what goes on after the call that began it has returned, until the Cache is
// closed. The zero value runs nothing yet.
type background struct {
	mu   sync.Mutex
	ctx  context.Context // of what runs; nil: nothing does
	end  context.CancelFunc
	runs *sync.WaitGroup
}

// run runs f on a goroutine of its own, with a context that ends when the Cache is closed.
func (b *background) run(f func(ctx context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == nil {
		b.ctx, b.end = context.WithCancel(context.Background())
		b.runs = new(sync.WaitGroup)
	}
	ctx := b.ctx
	b.runs.Go(func() { f(ctx) })
}

// close ends what runs, and returns when it has ended.
func (b *background) close() {
	b.mu.Lock()
	end, runs := b.end, b.runs
	b.ctx, b.end, b.runs = nil, nil, nil
	b.mu.Unlock()
	if end != nil {
		end()
		runs.Wait()
	}
}
