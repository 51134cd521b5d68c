package memcached

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A fault is an operation that failed, for another reason than what the server holds.
type fault struct {
	what   string // the operation
	server string
	kind   kind
	fatal  bool      // there is no use in trying again soon
	began  time.Time // when the operation did
	err    error
}

func (f *fault) Error() string {
	return "cacheutils: " + f.what + " on memcached " + f.server + ": " + errtext.Bare(f.err).Error()
}

func (f *fault) Unwrap() error { return f.err }

// A kind of fault. The first three say nothing about the server, the last one that it is there.
type kind int

const (
	down      kind = iota // nothing was sent to it
	busy                  // all connections were in use
	cancelled             // the caller's context ended
	connect
	timeout
	closed  // by the other side, before the reply was complete
	garbage // the reply makes no sense
	refused // the server answered that it can't, or with more than is read
	kinds
)

var kindNames = [kinds]string{"down", "busy", "cancelled", "connect", "timeout", "closed", "garbage", "refused"}

// answer reports whether an error is only what the server answered.
func answer(err error) bool {
	return err == memcache.ErrCacheMiss || err == memcache.ErrCASConflict || err == memcache.ErrNotStored
}

// kindOf returns the kind of fault that err is, which the client returned.
func kindOf(err error) kind {
	switch text := err.Error(); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return timeout
	case closedByServer(err):
		return closed
	case errors.Is(err, errOversize):
		return refused
	case strings.Contains(text, `"SERVER_ERROR `), strings.Contains(text, `"CLIENT_ERROR `), strings.HasPrefix(text, "memcache: client error: "):
		return refused
	default:
		return garbage
	}
}

// closedByServer reports whether an error is what a connection gives that the other side closed: a socket, or a pipe of a dialer.
func closedByServer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || isAny(err, closedErrnos)
}

// timedOut reports whether a dial took too long, rather than being refused.
func timedOut(err error) bool {
	var connecting *memcache.ConnectTimeoutError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) && network.Timeout()
}

// ours reports whether a dial failed for what this process, or its machine, lacks.
func ours(err error) bool {
	return isAny(err, lackingErrnos)
}

func isAny(err error, targets []error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
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
