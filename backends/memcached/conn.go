package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
)

// gomemcache takes no contexts, gives a server that trickles its reply as long as it likes, and hands out
// connections that were closed while they were idle. So each connection here has a client of its own, which
// keeps that one connection and no other, and the caller of an operation owns both until it ends:
//
//	begin  checks that the idle connection is still alive, or drops it;
//	run    the client dials if there is no connection, writes and reads;
//	end    keeps the connection for the next operation, or closes it.
//
// The operation's deadline is ours: the client's own calls to SetDeadline do nothing. A server that is silent
// for the read timeout misses it as well. When the context ends, abort moves the deadline into the past, the
// client's read fails, and the client closes the connection, since it doesn't know what is still on its way. So
// no operation ever reads a reply to another one.

// A conn is one connection to a server. The operation that took it from its server's pool owns it.
type conn struct {
	server     *server
	client     *memcache.Client
	generation uint64 // of the pool that it was taken from

	reused      bool          // the operation runs on a connection that others had before it
	unconnected bool          // it couldn't connect
	received    int           // bytes of the reply so far
	opening     [opening]byte // the first of them
	ended       time.Time     // about when the last operation was
	reply       reply

	// What follows is shared with abort, which runs whenever the context ends.
	mu        sync.Mutex
	ctx       context.Context // of the operation under way
	deadline  time.Time       // of the operation under way, as far as that has been prolonged
	end       time.Time       // beyond which it is not
	operation uint64          // the number of operations so far
	aborted   bool
	wire      *wire // the connection, nil when there is none
}

func newConn(s *server) *conn {
	c := &conn{server: s}
	c.client = memcache.NewFromSelector(only{s.address})
	c.client.MaxIdleConns = 1
	c.client.Timeout = s.operation
	c.client.DialContext = c.dial
	return c
}

// run lets f use the client for one operation, which has to end by the deadline, and at once
// when ctx does. What the client panics with, on a reply that it can't read, is an error.
func (c *conn) run(ctx context.Context, op operation, now, deadline time.Time, f func(*client) error) (err error) {
	stop := c.begin(ctx, op, now, deadline)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable reply: %v", p)
		}
		if stop != nil {
			stop()
		}
		c.ended = now
		c.reply.take, c.reply.memory, c.reply.taken.value = nil, nil, nil
		// The client closes the connection after most of the errors that make the next reply
		// uncertain, but not after a panic, when the reply was for another key, or when more
		// came than one reply.
		if err != nil && !answer(err) || c.reply.extra || c.wire != nil && c.wire.hasMore() {
			c.close()
		}
	}()
	if err = f(c.client); err == nil && c.reply.unexpected {
		return unreadable([]byte(c.reply.got))
	}
	return err
}

// begin starts an operation that has to end by the deadline, and at once when ctx does. What
// it returns, unless nil, ends that.
func (c *conn) begin(ctx context.Context, op operation, now, deadline time.Time) (stop func() bool) {
	c.mu.Lock()
	c.operation++
	c.aborted = false
	c.ctx, c.deadline, c.end = ctx, deadline, deadline.Add((maxTimeouts-1)*c.server.operation)
	operation, w := c.operation, c.wire
	c.mu.Unlock()

	if w != nil && (!op.idempotent || now.Sub(c.ended) > trustedIdle) && !alive(w.socket) {
		c.close()
		w = nil
	}
	c.reused, c.unconnected, c.received = w != nil, false, 0
	c.reply = reply{line: c.reply.line[:0], values: op.values, last: op.success, take: op.take, taken: taken{key: c.reply.taken.key}}
	if w != nil {
		c.arm(w, now, 0)
	}
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, func() { c.abort(operation) })
}

// trustedIdle is how soon after an operation an idempotent one may begin without checking the
// connection: it will be tried again if that has died, and there was hardly time for an extra
// reply.
const trustedIdle = time.Millisecond

// abort makes the operation fail, if it is still the one under way.
func (c *conn) abort(operation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operation != operation {
		return
	}
	c.aborted = true
	if c.wire != nil {
		c.wire.Conn.SetDeadline(past)
	}
}

var past = time.Unix(1, 0)

// dial connects for the client, under the operation's own context and deadline, unless the engine is
// closed. What is dialled while it closes is closed when the operation ends.
func (c *conn) dial(context.Context, string, string) (net.Conn, error) {
	if c.server.closed.isClosed() {
		return nil, cacheutils.ErrClosed
	}
	c.mu.Lock()
	parent, deadline := c.ctx, c.deadline
	c.mu.Unlock()
	if soon := time.Now().Add(c.server.connect); soon.Before(deadline) {
		deadline = soon
	}
	ctx, cancel := context.WithDeadline(parent, deadline)
	defer cancel()
	c.server.dials.Add(1)
	nc, socket, err := c.server.connectTo(ctx)
	if err != nil {
		c.unconnected = true
		return nil, err
	}
	c.server.open.Add(1)
	c.server.swaps.known.Store(false)
	w := &wire{Conn: nc, socket: socket, owner: c}
	c.mu.Lock()
	c.wire = w
	c.mu.Unlock()
	c.arm(w, time.Now(), 0)
	return w, nil
}

func (c *conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wire != nil
}

// close closes the connection, if there is one. Only the owner calls it.
func (c *conn) close() { c.client.Close() }

// A wire is the network connection that the client sees.
type wire struct {
	net.Conn
	socket net.Conn // under TLS, where there is that
	owner  *conn
	closed sync.Once
}

// perTimeout is how many bytes have to arrive for an operation to get its timeout once more, maxTimeouts times in all.
// Without that, a multi-get of many large values couldn't end in time; with it, a server
// that trickles bytes, or sends them without an end, still can't keep a caller.
const (
	perTimeout  = 256 << 10
	maxTimeouts = 4
)

func (w *wire) Read(p []byte) (int, error) {
	if w.owner.reply.take != nil {
		return w.readValues(p)
	}
	return w.receive(p)
}

// readValues reads a reply whose values the client doesn't see, and returns what is left of it.
func (w *wire) readValues(p []byte) (int, error) {
	r := &w.owner.reply
	for !r.ended {
		if _, err := w.receive(p); err != nil && !r.ended {
			return 0, err
		}
	}
	return copy(p, endOfValues), nil
}

// receive reads the next bytes of a reply.
func (w *wire) receive(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	c := w.owner
	if n > 0 && c.received < opening {
		copy(c.opening[c.received:], p[:n])
	}
	before := c.received / perTimeout
	c.received += n
	if bad := c.reply.read(p[:n], c.server.maxItemSize); bad != nil {
		return 0, bad
	}
	if n > 0 && !c.reply.ended {
		c.arm(w, time.Now(), c.received/perTimeout-before)
	}
	return n, err
}

// hasMore reports whether TLS has a record that it has received and not handed out, which the socket doesn't
// show.
func (w *wire) hasMore() bool {
	if w.owner.server.tls == nil {
		return false
	}
	var one [1]byte
	w.Conn.SetReadDeadline(past) // so that it receives nothing
	_, err := w.Conn.Read(one[:])
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// arm gives the server time to send the next bytes: its read timeout, but not longer than the
// operation has, whose own time is prolonged by so many timeouts, up to its end.
func (c *conn) arm(w *wire, now time.Time, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		w.Conn.SetDeadline(past)
		return
	}
	if more > 0 {
		if c.deadline = c.deadline.Add(time.Duration(min(more, maxTimeouts)) * c.server.operation); c.deadline.After(c.end) {
			c.deadline = c.end
		}
	}
	deadline := now.Add(c.server.read)
	if c.deadline.Before(deadline) {
		deadline = c.deadline
	}
	w.Conn.SetDeadline(deadline)
}

// SetDeadline does nothing: the operation has one deadline, whatever the client thinks.
func (w *wire) SetDeadline(time.Time) error { return nil }

// Close skips TLS's close_notify: a server that hangs has no room for that, and crypto/tls gives it 5 s.
func (w *wire) Close() error {
	c := w.owner
	c.mu.Lock()
	if c.wire == w {
		c.wire = nil
	}
	c.mu.Unlock()
	w.closed.Do(func() { c.server.open.Add(-1) })
	return w.socket.Close()
}

// diedIdle reports whether the operation failed with err because the connection had died while it
// was idle: it had been used before, and the server closed it without a byte of a reply.
func (c *conn) diedIdle(err error) bool {
	return c.reused && c.received == 0 && closedByServer(err)
}
