package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/logging"
)

// A server has the connections to one memcached: at most maxConns at a time, which are dialled when they are
// needed, and of which maxIdle stay open when they are not needed. A caller that finds all of them busy waits
// for one; that counts against the operation's timeout.
type server struct {
	address address
	label   string     // what of the server counts in the score of a key
	name    *name      // that it was found by, or nil
	ip      netip.Addr // if it is one of several with that name
	tlsName string     // in its certificate, unless an option says otherwise
	limits

	// tooLarge is the smallest size that the server is known to refuse, in bytes as it counts
	// them. It only falls.
	tooLarge atomic.Int64

	slots   chan struct{} // holds one token for each connection in use
	waiting atomic.Int64  // callers that wait for one
	swaps   swaps
	counters
	lines logging.Limiter

	// unavailable is true while nothing but probes is to be sent: see breaker.go.
	unavailable    atomic.Bool
	breaker        *gobreaker.CircuitBreaker[struct{}]
	reporting      sync.Mutex  // held by an operation that tells the breaker how it ended
	afterFault     atomic.Bool // the last that the breaker was told by an operation is a fault
	reportingFatal atomic.Bool // what it is being told is a hard one

	// closed is over before the server's own close locks mu. So an operation that holds mu while it isn't leaves
	// nothing that close doesn't find.
	closed lifetime

	mu         sync.Mutex
	gone       bool    // the name has other addresses
	idle       []*conn // the one used last comes last, and is used next
	generation uint64  // rises when idle connections are closed, and those in use have to follow
	health
}

// limits are what the options say.
type limits struct {
	operation, connect, read time.Duration
	maxConns                 int
	maxIdle                  int
	maxWaiting               int
	maxItemSize              int
	failures                 int           // faults in a row after which a server counts as down
	probe                    time.Duration // between two probes
	maxQueued                int           // invalidations that wait for a server that is down
	dialing
}

func newServer(a address, l limits, closed lifetime) *server {
	s := &server{address: a, label: a.label() + "-", tlsName: "localhost", limits: l, closed: closed, slots: make(chan struct{}, l.maxConns)}
	if host, _, err := net.SplitHostPort(a.address); a.network == "tcp" && err == nil {
		s.tlsName = host
	}
	s.tooLarge.Store(int64(l.maxItemSize) + 1)
	s.breaker = s.newBreaker()
	s.health.tripped = make(chan struct{})
	return s
}

// An operation is one kind of request.
type operation struct {
	name       string
	idempotent bool   // it can be tried again when it is unknown whether it was carried out
	values     int    // how many values the reply may have
	success    string // the line that says it was done; empty: gomemcache knows
	take       taker  // gets the values of the reply, instead of gomemcache, unless it is nil
}

// do runs one operation on a connection of its own, or refuses to while the server is down. It
// is tried once more, on a new connection, if it is idempotent and the one it had turns
// out to be dead.
//
// Answers of the server are returned as gomemcache's errors, bare; every other error is a
// *fault.
func (s *server) do(ctx context.Context, op operation, f func(*client) error) error {
	s.operations.Add(1)
	if err := ctx.Err(); err != nil {
		return s.fault(op, cancelled, err)
	}
	if s.unavailable.Load() {
		return s.unavailableFault(op)
	}
	err := s.run(ctx, op, f, true)
	if err != nil && errors.Is(err, errNoCAS) {
		s.removeUnproven(ctx)
	}
	return err
}

// try is do for what the breaker isn't told, and which is sent to a server that is down too.
func (s *server) try(ctx context.Context, op operation, f func(*client) error) error {
	return s.run(ctx, op, f, false)
}

// run takes a connection for the operation. If the operation counts, the breaker is told how it has ended before the
// connection is another's: so nobody who waits for that sends anything to a server that is down now.
func (s *server) run(ctx context.Context, op operation, f func(*client) error, counts bool) error {
	began := time.Now()
	deadline := began.Add(s.operation)
	c, taken, err := s.take(ctx, began, deadline)
	if err == cacheutils.ErrClosed {
		return s.closedFault(op)
	}
	if err != nil {
		return s.fault(op, takeKind(err), err)
	}
	err = c.run(ctx, op, taken, deadline, f)
	if err != nil && op.idempotent && c.diedIdle(err) && ended(ctx) == nil {
		s.retries.Add(1)
		err = c.run(ctx, op, time.Now(), deadline, f)
	}
	if err != nil && !answer(err) {
		bad := s.explain(ctx, op, c, quoted(err), taken, began, deadline)
		bad.began = began
		err = bad
	}
	if counts && (err != nil || s.afterFault.Load()) {
		s.report(err)
	}
	s.give(c)
	return err
}

// explain returns the fault that an operation's error is.
func (s *server) explain(ctx context.Context, op operation, c *conn, err error, taken, began, deadline time.Time) (bad *fault) {
	if errors.Is(err, cacheutils.ErrClosed) {
		return s.closedFault(op)
	}
	switch cause := ended(ctx); {
	case cause != nil:
		return s.fault(op, s.endKind(cause, taken), cause)
	case timedOut(err) && taken != began && deadline.Sub(taken) < s.read/3:
		return s.fault(op, busy, fmt.Errorf("%w, after %v of waiting for a connection", err, taken.Sub(began)))
	case errors.Is(err, errMoved):
		return s.fault(op, down, err)
	case c.unconnected:
		bad = s.fault(op, connect, err)
		bad.fatal = !timedOut(err) && !ours(err)
	default:
		bad = s.fault(op, kindOf(err), c.explain(err))
		bad.fatal = errors.Is(err, errNoCAS)
	}
	return bad
}

// endKind is the kind of fault when the caller's context ended with cause, and the connection was taken
// then. A server that leaves a caller without an answer until its deadline is slow, unless the
// deadline was very close.
func (s *server) endKind(cause error, taken time.Time) kind {
	if cause == context.DeadlineExceeded && time.Since(taken) >= s.read/3 {
		return timeout
	}
	return cancelled
}

func (s *server) fault(op operation, k kind, err error) *fault {
	f := &fault{what: op.name, server: s.address.String(), kind: k, err: err}
	s.errors[k].Add(1)
	if k != down && k != cancelled {
		s.mu.Lock()
		s.health.lastErr = f
		s.mu.Unlock()
	}
	return f
}

// closedFault is for an operation that was not sent since the engine is closed. It isn't counted: it
// says nothing about the server.
func (s *server) closedFault(op operation) *fault {
	return &fault{what: op.name, server: s.address.String(), kind: down, err: cacheutils.ErrClosed}
}

var (
	errBusy    = errors.New("timeout: all connections are busy")
	errWaiting = errors.New("too many callers wait for a connection")

	errServerDown = cacheutils.ErrServerDown
)

// takeKind is the kind of fault when take returned err.
func takeKind(err error) kind {
	switch {
	case err == errServerDown:
		return down
	case err == errBusy, errors.Is(err, errWaiting):
		return busy
	default:
		return cancelled
	}
}

// take returns a connection that is nobody else's, and when it was taken, which is at once, unless there was
// none. Once the engine is closed no caller gets one.
func (s *server) take(ctx context.Context, began, deadline time.Time) (c *conn, taken time.Time, err error) {
	taken = began
	select {
	case s.slots <- struct{}{}:
	default:
		if err := s.wait(ctx, began, deadline); err != nil {
			return nil, taken, err
		}
		taken = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.isClosed() {
		<-s.slots
		return nil, taken, cacheutils.ErrClosed
	}
	if last := len(s.idle) - 1; last >= 0 {
		c = s.idle[last]
		s.idle = s.idle[:last]
		return c, taken, nil
	}
	c = newConn(s)
	c.generation = s.generation
	return c, taken, nil
}

// wait waits for a connection to become free, unless the server goes down or the engine is closed
// meanwhile.
func (s *server) wait(ctx context.Context, began, deadline time.Time) error {
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > int64(s.maxWaiting) {
		return fmt.Errorf("%w: max_waiting is %d", errWaiting, s.maxWaiting)
	}
	s.mu.Lock()
	tripped := s.health.tripped
	s.mu.Unlock()
	timer := time.NewTimer(deadline.Sub(began))
	defer timer.Stop()
	defer func() {
		s.waits.Add(1)
		s.waited.Add(int64(time.Since(began)))
	}()
	took := false
	select {
	case s.slots <- struct{}{}:
		took = true
	case <-tripped:
	case <-s.closed:
	case <-ctx.Done():
	case <-timer.C:
	}
	// Several of these may be there at once, of which select takes any.
	err := s.endOfWait(ctx, tripped, deadline)
	switch {
	case took && err != nil:
		<-s.slots
	case !took && err == nil:
		return errBusy
	}
	return err
}

// endOfWait returns why a caller is not to wait for a connection, nor to use one, any more.
func (s *server) endOfWait(ctx context.Context, tripped chan struct{}, deadline time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if s.closed.isClosed() {
		return cacheutils.ErrClosed
	}
	select {
	case <-tripped:
		return errServerDown
	default:
	}
	if !time.Now().Before(deadline) {
		return errBusy
	}
	return nil
}

// give takes the connection back.
func (s *server) give(c *conn) {
	s.mu.Lock()
	keep := c.generation == s.generation && len(s.idle) < s.maxIdle
	if keep {
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	if !keep {
		c.close()
	}
	<-s.slots
}

// drop closes the connections: idle ones now, the others when their operations end.
func (s *server) drop() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.generation++
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// leave is for a server that its name doesn't have any more: callers don't come to it now. It returns the keys
// whose invalidations wait for it.
func (s *server) leave() (waiting []string) {
	s.mu.Lock()
	s.gone = true
	if s.watcher != nil {
		s.watcher.stop() // and not wait: it may be what has looked up the name
		s.watcher = nil
	}
	waiting = s.queue.keys()
	s.mu.Unlock()
	s.drop()
	return waiting
}

// join is for a server that its name has now.
func (s *server) join() {
	s.mu.Lock()
	again := s.gone
	s.gone = false
	s.mu.Unlock()
	if again {
		s.watch(0)
	}
}

// close drops the connections, ends the watcher and forgets what waits for the server. The engine is
// closed already.
func (s *server) close() {
	s.unwatch()
	s.drop()
}
