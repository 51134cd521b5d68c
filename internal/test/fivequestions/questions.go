// Package fivequestions asks any cache that loads what it doesn't have the same questions,
// about what goes wrong while a value is being computed:
//
//	A   its key is invalidated: is the outdated value left in the cache?
//	A2  does a caller that starts after the invalidation get it?
//	B   the first caller's context is cancelled: do the others fail?
//	C   a caller that waits has a deadline of its own: does it hold?
//	D   the computation panics: which callers learn of it, and is the key usable afterwards?
//
// A cache that hangs is left behind after a while: no question waits forever.
package fivequestions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Compute computes the value of a key.
type Compute func(ctx context.Context) (string, error)

// A Cache is what is asked. Load returns the value under key, or stores and returns what
// compute does. Invalidate returns when the value is gone.
type Cache interface {
	Load(ctx context.Context, key string, compute Compute) (string, error)
	Invalidate(ctx context.Context, key string) error
}

// A ContextFree is a Cache whose loads take no context. Questions about contexts are left out.
type ContextFree interface {
	ContextFree()
}

// Answers. Any other is an error's text.
const (
	OK             = "ok"
	OutdatedStays  = "outdated stays"
	GetsOutdated   = "gets outdated"
	FollowerFails  = "follower fails"
	Ignored        = "ignored"
	BecomesError   = "becomes error"
	Hangs          = "hangs"
	NotApplicable  = "n/a"
	StartedAgain   = "ok, started again" // B: no caller fails, but the computation is lost
	KeyStaysBroken = "key stays broken"  // D: later calls get the panic or an error, too
)

// A Question is one of the five.
type Question struct {
	Name string // A, A2, B, C or D
	Text string
	ask  func(Cache) string
}

// Questions are the five, A and A2 counted as one.
var Questions = []Question{
	{"A", "invalidated while computing: what stays?", invalidated},
	{"A2", "a caller after the invalidation", late},
	{"B", "the first caller leaves", firstLeaves},
	{"C", "a waiter's own deadline", deadline},
	{"D", "a panic", panics},
}

// Ask returns the cache's answer. The cache is used for this question only.
func (q Question) Ask(c Cache) string {
	answer := make(chan string, 1)
	go func() { answer <- q.ask(c) }()
	select {
	case a := <-answer:
		return a
	case <-time.After(2 * patience):
		return Hangs
	}
}

const (
	// moment is long enough for a call to get to where it waits.
	moment = 100 * time.Millisecond
	// patience is after what a call counts as hanging.
	patience = 5 * time.Second

	key = "k"
)

// An outcome is what a call came to.
type outcome struct {
	value    string
	err      error
	panicked any
}

func (o outcome) String() string {
	switch {
	case o.panicked != nil:
		return "panics"
	case o.err != nil:
		return o.err.Error()
	}
	return o.value
}

// load calls Load on a goroutine of its own.
func load(ctx context.Context, c Cache, compute Compute) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.value, o.err = c.Load(ctx, key, compute)
	}()
	return done
}

// within waits for a call, no longer than d.
func within(d time.Duration, call <-chan outcome) (o outcome, ok bool) {
	select {
	case o = <-call:
		return o, true
	case <-time.After(d):
		return o, false
	}
}

// A computation reads its source and then runs until it is let through, or its context ends.
// A cache that throws the result away may run it again, and then gets what the source has by
// that time.
type computation struct {
	source  atomic.Value // a string
	started chan struct{}
	release chan struct{}
}

func newComputation(value string) *computation {
	c := &computation{started: make(chan struct{}, 100), release: make(chan struct{})}
	c.source.Store(value)
	return c
}

func (c *computation) run(ctx context.Context) (string, error) {
	value := c.source.Load().(string)
	c.started <- struct{}{}
	select {
	case <-c.release:
		return value, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (c *computation) awaitStart() bool {
	select {
	case <-c.started:
		return true
	case <-time.After(patience):
		return false
	}
}

func returns(value string) Compute {
	return func(context.Context) (string, error) { return value, nil }
}

// invalidate changes the source and calls Invalidate. If that waits for the computation it
// lets that through.
func invalidate(c Cache, old *computation) (released bool, err error) {
	old.source.Store("new")
	done := make(chan error, 1)
	go func() { done <- c.Invalidate(context.Background(), key) }()
	select {
	case err = <-done:
		return false, err
	case <-time.After(moment):
		close(old.release)
	}
	select {
	case err = <-done:
		return true, err
	case <-time.After(patience):
		return true, errors.New(Hangs)
	}
}

func invalidated(c Cache) string {
	ctx := context.Background()
	old := newComputation("old")
	first := load(ctx, c, old.run)
	if !old.awaitStart() {
		return Hangs
	}
	released, err := invalidate(c, old)
	if err != nil {
		return err.Error()
	}
	if !released {
		close(old.release)
	}
	if _, ok := within(patience, first); !ok {
		return Hangs
	}
	time.Sleep(moment) // for caches that store in the background
	return kept(c)
}

// kept reports whether the outdated value is still there.
func kept(c Cache) string {
	o, ok := within(patience, load(context.Background(), c, returns("new")))
	switch {
	case !ok:
		return Hangs
	case o.value == "old":
		return OutdatedStays
	case o.value == "new":
		return OK
	}
	return o.String()
}

func late(c Cache) string {
	ctx := context.Background()
	old := newComputation("old")
	first := load(ctx, c, old.run)
	if !old.awaitStart() {
		return Hangs
	}
	released, err := invalidate(c, old)
	if err != nil {
		return err.Error()
	}
	second := load(ctx, c, returns("new"))
	o, ok := within(moment, second)
	if !released {
		close(old.release)
	}
	if !ok {
		if o, ok = within(patience, second); !ok {
			return Hangs
		}
	}
	if _, ok := within(patience, first); !ok {
		return Hangs
	}
	switch o.String() {
	case "old":
		return GetsOutdated
	case "new":
		if kept(c) == OutdatedStays { // the first caller's value has come over it
			return OutdatedStays
		}
		return OK
	}
	return o.String()
}

func firstLeaves(c Cache) string {
	if _, ok := c.(ContextFree); ok {
		return NotApplicable
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	one, two := newComputation("first"), newComputation("second")
	first := load(ctx, c, one.run)
	if !one.awaitStart() {
		return Hangs
	}
	second := load(context.Background(), c, two.run)
	time.Sleep(moment)
	cancel()
	time.Sleep(moment)
	close(one.release)
	close(two.release)
	o, ok := within(patience, second)
	if _, firstEnded := within(patience, first); !ok || !firstEnded {
		return Hangs
	}
	switch {
	case o.panicked != nil || o.err != nil:
		return FollowerFails
	case o.value == "second":
		return StartedAgain
	}
	return OK
}

func deadline(c Cache) string {
	if _, ok := c.(ContextFree); ok {
		return NotApplicable
	}
	one := newComputation("first")
	first := load(context.Background(), c, one.run)
	if !one.awaitStart() {
		return Hangs
	}
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	defer cancel()
	second := load(ctx, c, one.run)
	o, inTime := within(8*moment, second)
	close(one.release)
	if _, ok := within(patience, first); !ok {
		return Hangs
	}
	switch {
	case !inTime:
		return Ignored
	case errors.Is(o.err, context.DeadlineExceeded):
		return OK
	}
	return o.String()
}

func panics(c Cache) string {
	one := newComputation("")
	bad := func(context.Context) (string, error) {
		one.started <- struct{}{}
		<-one.release
		panic("the computation panics")
	}
	first := load(context.Background(), c, bad)
	if !one.awaitStart() {
		return Hangs
	}
	second := load(context.Background(), c, bad)
	time.Sleep(moment)
	close(one.release)
	o, firstEnded := within(patience, first)
	_, secondEnded := within(patience, second)
	if !firstEnded || !secondEnded {
		return Hangs
	}
	after, ok := within(patience, load(context.Background(), c, returns("fine")))
	switch {
	case !ok:
		return Hangs
	case after.value != "fine":
		return KeyStaysBroken
	case o.panicked != nil:
		return OK
	case o.err != nil:
		return BecomesError
	}
	return fmt.Sprintf("returns %q", o.value)
}

// Loads is for caches that are given one loading function when they are made: it runs what
// was last given for the key.
type Loads struct {
	byKey sync.Map
}

// Set says what the next load of key is to run.
func (l *Loads) Set(key string, compute Compute) { l.byKey.Store(key, compute) }

// Run is the loading function.
func (l *Loads) Run(ctx context.Context, key string) (string, error) {
	compute, ok := l.byKey.Load(key)
	if !ok {
		return "", fmt.Errorf("fivequestions: no computation of %q", key)
	}
	return compute.(Compute)(ctx)
}
