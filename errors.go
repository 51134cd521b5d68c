package cacheutils

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The error values of this module. Every error that its packages return for one of these
// reasons wraps the value, so that errors.Is finds it.
var (
	// ErrCacheMiss says that a key is not in the cache, or is no longer fresh.
	ErrCacheMiss = errors.New("cacheutils: cache miss")

	// ErrNoCachedValue says that RequireCache found nothing for its arguments.
	ErrNoCachedValue = errors.New("cacheutils: no cached value")

	// ErrUnknownBackend says that no backend of that name is configured, or that no engine
	// of that name is registered. The text lists the names there are.
	ErrUnknownBackend = errors.New("cacheutils: unknown backend")

	// ErrClosed says that a backend was closed, and stays so: Configure has replaced its set, or Close was
	// called. After a Configure, get the backend again by its name.
	ErrClosed = errors.New("cacheutils: backend is closed")

	// ErrConfig says that a backend's settings are wrong. The text names the setting.
	ErrConfig = errors.New("cacheutils: bad configuration")

	// ErrInvalidKey says that a key can't be used: it is empty, or the backend refuses its
	// length or its characters, or a value in it has no text that stands for it.
	ErrInvalidKey = errors.New("cacheutils: invalid key")

	// ErrArguments says that arguments or results given to a handle don't fit its function.
	ErrArguments = errors.New("cacheutils: wrong arguments")

	// ErrNotNumber says that a value that was to be incremented is not an integer.
	ErrNotNumber = errors.New("cacheutils: not a number")

	// ErrTooLarge says that a value is larger than the backend accepts. Whatever was stored
	// under its key before is gone.
	ErrTooLarge = errors.New("cacheutils: value too large")

	// ErrUnsupportedValue says that a value can't be carried exactly by the codec, so that it
	// was not stored.
	ErrUnsupportedValue = errors.New("cacheutils: unsupported value")

	// ErrUndecodable says that what is stored under a key is not a value of the wanted type:
	// it was written by another program, or for another version of the type, or is damaged.
	ErrUndecodable = errors.New("cacheutils: undecodable entry")

	// ErrServerDown says that an operation was not sent to its server, because that failed before and has not
	// answered a probe since.
	ErrServerDown = errors.New("cacheutils: server is down")

	// ErrQueued says that an invalidation did not reach its server, and is carried out when that
	// is back, before this process gets anything from it again. Other processes may get what was
	// to be invalidated until then.
	ErrQueued = errors.New("cacheutils: invalidation is queued")

	// ErrRecursion says that a computation called, directly or by way of other cached functions, for the very
	// value that it computes.
	ErrRecursion = errors.New("cacheutils: a cached function waits for its own result")
)

// Forever is the timeout of entries that never expire.
const Forever time.Duration = math.MaxInt64

// A PanicError is what callers of a decorated function recover when the function panicked while it was computed
// for them. All callers that waited for that computation panic with the same *PanicError. Only http.ErrAbortHandler
// is left as it is, since net/http compares with it.
type PanicError struct {
	Value any    // what the function panicked with
	Stack []byte // the stack of the goroutine that panicked, as runtime/debug.Stack prints it
}

// Error returns the panic's value and the stack of the panic.
func (p *PanicError) Error() string {
	if p == nil {
		return "<nil>"
	}
	return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the panic's value if it is an error, otherwise nil.
func (p *PanicError) Unwrap() error {
	if p == nil { // a function may panic with one
		return nil
	}
	err, _ := p.Value.(error)
	return err
}
