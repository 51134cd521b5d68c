package memcached

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// A server has the connections to one memcached: at most maxConns at a time, which are
// dialled when they are needed, and of which maxIdle stay open when nobody needs them. Who
// finds all of them busy waits for one; that counts against the operation's timeout.
type server struct {
	address     address
	timeout     time.Duration
	maxIdle     int
	maxItemSize int
	noDelay     bool

	// tooLarge is the smallest size that the server is known to refuse, in bytes as it counts
	// them. It only falls.
	tooLarge atomic.Int64

	slots chan struct{} // holds one token for each connection in use

	mu         sync.Mutex
	idle       []*conn // the one used last comes last, and is used next
	generation uint64  // rises when idle connections are closed, and those in use have to follow
}

// do runs one operation on a connection of its own. It is retried once, on a new
// connection, if it is idempotent and the one it had turns out to be dead.
//
// Answers of the server are returned as gomemcache's errors, bare; every other error says
// what was being done, where, and why it failed.
func (s *server) do(ctx context.Context, what string, idempotent bool, f func(*memcache.Client) error) error {
	if err := ctx.Err(); err != nil {
		return s.fault(what, err)
	}
	deadline := time.Now().Add(s.timeout)
	c, err := s.take(ctx, deadline)
	if err != nil {
		return s.fault(what, err)
	}
	err = c.run(ctx, deadline, f)
	if err != nil && idempotent && c.stale(err) && ended(ctx) == nil {
		err = c.run(ctx, deadline, f)
	}
	s.give(c)
	if err == nil || answer(err) {
		return err
	}
	if cause := ended(ctx); cause != nil {
		err = cause
	}
	return s.fault(what, err)
}

// ended returns the context's error. A dial ends by the context's deadline a little before the
// context says so itself.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func (s *server) fault(what string, err error) error {
	return fmt.Errorf("memcached: %s on %s: %w", what, s.address, err)
}

// take returns a connection that is nobody else's.
func (s *server) take(ctx context.Context, deadline time.Time) (*conn, error) {
	select {
	case s.slots <- struct{}{}:
	default:
		if err := s.wait(ctx, deadline); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.idle) - 1; last >= 0 {
		c := s.idle[last]
		s.idle = s.idle[:last]
		return c, nil
	}
	c := newConn(s)
	c.generation = s.generation
	return c, nil
}

func (s *server) wait(ctx context.Context, deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("timeout: all connections are busy")
	}
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

// close closes the connections: idle ones now, the others when their operations end.
func (s *server) close() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.generation++
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	s.tooLarge.Store(int64(s.maxItemSize) + 1) // whoever answers next may take more
}
