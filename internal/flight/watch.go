package flight

import "context"

// A Watcher is told which values of its context a function finds, so that it can say which of them are in no key.
type Watcher interface {
	// Found is called when a function that runs under the context by, which is a computation's, has found value under
	// key. by is nil where that is another function, which the watcher's has called. It may be called by many
	// goroutines at once.
	Found(by context.Context, key, value any)
}

// A Watch is a Watcher and those of the functions within whose computations its function runs, each once: what that
// returns depends on what it finds, and so do their results.
type Watch struct {
	Watcher Watcher
	outer   *Watch // nil: the caller is no computation
}

// within returns the Watch of a function that is called by one with the Watch outer; both may be nil.
func (w *Watch) within(outer *Watch) *Watch {
	if w == nil || outer == nil {
		if outer == nil {
			return w
		}
		return outer
	}
	for o := outer; o != nil; o = o.outer {
		if o.Watcher == w.Watcher {
			return outer
		}
	}
	return &Watch{w.Watcher, outer}
}

// cancelKey is what package context asks each context for: it is no user's value.
var cancelKey = func() any {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	asked := lastKey{Context: ended}
	_ = context.Cause(&asked)
	return asked.key
}()

// A lastKey is a context that notes the key that it was asked for last.
type lastKey struct {
	context.Context
	key any
}

func (l *lastKey) Value(key any) any {
	l.key = key
	return nil
}
