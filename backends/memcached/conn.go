package memcached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// gomemcache takes no contexts, gives a server that trickles its reply as long as it likes,
// and hands out connections that died while they were idle. So each connection here has a
// client of its own, which keeps that one connection and no other, and whoever runs an
// operation owns both until it ends:
//
//	begin  checks that the idle connection is still alive, or drops it;
//	run    the client dials if there is no connection, writes and reads;
//	end    leaves the connection for the next operation, or closes it.
//
// The operation's deadline is ours: the client's own calls to SetDeadline do nothing. When
// the context ends, abort moves the deadline into the past, the client's read fails, and
// the client closes the connection, since it doesn't know what is still on its way. So no
// operation ever reads a reply to another one.

// A conn is one connection to a server. Whoever took it from its server's pool owns it.
type conn struct {
	server     *server
	client     *memcache.Client
	generation uint64 // of the pool that it was taken from

	reused   bool // the operation runs on a connection that others had before it
	received int  // bytes of the reply so far
	reply    reply

	// What follows is shared with abort, which runs whenever the context ends.
	mu        sync.Mutex
	ctx       context.Context // of the operation under way
	deadline  time.Time       // of the operation under way
	operation uint64          // the number of operations so far
	aborted   bool
	wire      *wire // the connection, nil when there is none
}

func newConn(s *server) *conn {
	c := &conn{server: s}
	c.client = memcache.NewFromSelector(only(s.address))
	c.client.MaxIdleConns = 1
	c.client.Timeout = s.timeout
	c.client.DialContext = c.dial
	return c
}

// run lets f use the client for one operation, which has to end by the deadline, and at once
// when ctx does. What the client panics with, on a reply that it can't read, is an error.
func (c *conn) run(ctx context.Context, deadline time.Time, f func(*memcache.Client) error) (err error) {
	end := c.begin(ctx, deadline)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable reply: %v", p)
		}
		end()
		// The client closes the connection after most of the errors that make the next reply
		// uncertain, but not after a panic, when the reply was for another key, or when more
		// came than one reply.
		if err != nil && !answer(err) || c.reply.stray {
			c.close()
		}
	}()
	return f(c.client)
}

// answer tells whether an error is only what the server answered.
func answer(err error) bool {
	return err == memcache.ErrCacheMiss || err == memcache.ErrCASConflict || err == memcache.ErrNotStored
}

// begin starts an operation that has to end by the deadline, and at once when ctx does. The
// function it returns ends the operation.
func (c *conn) begin(ctx context.Context, deadline time.Time) (end func()) {
	c.mu.Lock()
	c.operation++
	c.aborted = false
	c.ctx, c.deadline = ctx, deadline
	operation, w := c.operation, c.wire
	c.mu.Unlock()

	if w != nil && !alive(w.Conn) {
		c.close()
		w = nil
	}
	c.reused, c.received = w != nil, 0
	c.reply = reply{line: c.reply.line[:0]}
	if w != nil {
		w.Conn.SetDeadline(deadline)
	}
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { c.abort(operation) })
	return func() { stop() }
}

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

// dial connects for the client, under the operation's own context and deadline.
func (c *conn) dial(_ context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	parent, deadline := c.ctx, c.deadline
	c.mu.Unlock()
	ctx, cancel := context.WithDeadline(parent, deadline)
	defer cancel()
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := nc.(*net.TCPConn); ok && !c.server.noDelay {
		tcp.SetNoDelay(false)
	}
	w := &wire{Conn: nc, owner: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wire = w
	if c.aborted {
		deadline = past
	}
	nc.SetDeadline(deadline)
	return w, nil
}

// close closes the connection, if there is one. Only the owner calls it.
func (c *conn) close() { c.client.Close() }

// A wire is the network connection that the client sees.
type wire struct {
	net.Conn
	owner *conn
}

// perTimeout is how many bytes have to arrive for an operation to get its timeout once more.
// Without that, a multi-get of many large values couldn't end in time; with it, a server
// that trickles bytes still can't keep a caller.
const perTimeout = 256 << 10

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	c := w.owner
	before := c.received / perTimeout
	c.received += n
	if more := c.received/perTimeout - before; more > 0 {
		c.extend(w, time.Duration(more)*c.server.timeout)
	}
	if bad := c.reply.read(p[:n], c.server.maxItemSize); bad != nil {
		return 0, bad
	}
	return n, err
}

func (c *conn) extend(w *wire, by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aborted {
		return
	}
	c.deadline = c.deadline.Add(by)
	w.Conn.SetDeadline(c.deadline)
}

// SetDeadline does nothing: the operation has one deadline, whatever the client thinks.
func (w *wire) SetDeadline(time.Time) error { return nil }

func (w *wire) Close() error {
	c := w.owner
	c.mu.Lock()
	if c.wire == w {
		c.wire = nil
	}
	c.mu.Unlock()
	return w.Conn.Close()
}

// stale tells whether the operation failed with err because the connection had died while it
// was idle: it had been used before, and the server closed it without a byte of a reply.
func (c *conn) stale(err error) bool {
	return c.reused && c.received == 0 && closedByServer(err)
}

// closedByServer tells whether an error is what a connection gives that the server closed.
func closedByServer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
