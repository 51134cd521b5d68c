package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// A dialer makes the socket of a connection. It is (*net.Dialer).DialContext unless the option dialer is given.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// readDialer reads the option dialer. It returns nil if there is none, or one that is a nil func.
func readDialer(r *engine.OptionReader) (dialer, error) {
	value, isGiven := r.Value("dialer")
	if !isGiven {
		return nil, nil
	}
	given := reflect.ValueOf(value)
	wanted := reflect.TypeFor[dialer]()
	if value == nil || !given.CanConvert(wanted) {
		return nil, fmt.Errorf("%w: memcached option dialer is of type %T; it has to be a func(context.Context, string, string) (net.Conn, error), "+
			"which only settings in Go can have", cacheutils.ErrConfig, value)
	}
	via, _ := given.Convert(wanted).Interface().(dialer)
	if via == nil {
		return nil, nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := tryDialer(ctx, via, network, address)
		if err != nil {
			return nil, err
		}
		return withDeadlines(nc), nil
	}, nil
}

// tryDialer calls a dialer of the user, whose mistakes are errors.
func tryDialer(ctx context.Context, via dialer, network, address string) (nc net.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			nc, err = nil, fmt.Errorf("the dialer panicked: %v", p)
		}
	}()
	nc, err = via(ctx, network, address)
	if v := reflect.ValueOf(nc); err == nil && (nc == nil || v.Kind() == reflect.Pointer && v.IsNil()) {
		return nil, errors.New("the dialer returned no connection, and no error")
	}
	return nc, err
}

// withDeadlines returns nc, with deadlines if it has none: the channels of golang.org/x/crypto/ssh don't have them.
func withDeadlines(nc net.Conn) net.Conn {
	if nc.SetDeadline(time.Time{}) == nil {
		return nc
	}
	return &bounded{Conn: nc}
}

// A bounded is a connection whose only way to end what is under way is to be closed. That is what it does when its deadline
// passes and something is: the engine closes a connection then anyway.
type bounded struct {
	net.Conn

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	busy     int // reads and writes under way
	missed   bool
}

func (b *bounded) Read(p []byte) (int, error)  { return b.inTime(b.Conn.Read, p) }
func (b *bounded) Write(p []byte) (int, error) { return b.inTime(b.Conn.Write, p) }

func (b *bounded) inTime(do func([]byte) (int, error), p []byte) (int, error) {
	b.mu.Lock()
	if b.missed || b.isPast() {
		b.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	}
	b.busy++
	b.mu.Unlock()

	n, err := do(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy--
	if b.missed && err != nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// isPast reports whether the deadline is over. The caller holds b.mu.
func (b *bounded) isPast() bool { return !b.deadline.IsZero() && !time.Now().Before(b.deadline) }

func (b *bounded) SetDeadline(t time.Time) error {
	b.mu.Lock()
	b.deadline = t
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	isPast := b.isPast()
	if !isPast && !t.IsZero() {
		b.timer = time.AfterFunc(time.Until(t), b.end)
	}
	b.mu.Unlock()
	if isPast {
		b.end()
	}
	return nil
}

func (b *bounded) SetReadDeadline(t time.Time) error  { return b.SetDeadline(t) }
func (b *bounded) SetWriteDeadline(t time.Time) error { return b.SetDeadline(t) }

// end ends what is under way, if the deadline is over.
func (b *bounded) end() {
	b.mu.Lock()
	missed := b.busy > 0 && b.isPast()
	b.missed = b.missed || missed
	b.mu.Unlock()
	if missed {
		b.Conn.Close()
	}
}

// Close leaves no timer.
func (b *bounded) Close() error {
	b.mu.Lock()
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	return b.Conn.Close()
}
