// Package store is the protocol of a backend: one value per key, fresh, and computed once at a time among
// all processes that share an engine. Package backends configures Stores, packages decorators and cache use
// them.
package store

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/logging"
)

// A Caller is a package of this module. Others can't make one, and so can't call what takes it.
type Caller struct{}

// A Config says what a Store is made of. There are no defaults: package backends knows those.
type Config struct {
	Name             string // of the backend, for logs and errors
	Engine           engine.Engine
	Timeout          time.Duration // of entries whose timeout is not given
	KeyPrefix        string
	Version          string
	GroupVersion     string                                   // stands before the keys of groups
	GroupPrefix      string                                   // stands before the names of groups in these; CheckGroupPrefix has returned nil
	KeyFunction      func(key, prefix, version string) string // nil: KeyPrefix:Version:key
	CompressAbove    int                                      // bytes above which encoded values are compressed; negative: never
	MaxDecoded       uint64                                   // how many bytes of memory an encoded value may take when it is read
	Stale            time.Duration                            // how long values are served past their timeout
	Lease            time.Duration
	OperationTimeout time.Duration
	StoreLater       bool   // results are handed out before they are stored
	KeySecret        []byte // key of the HMACs that stand for arguments in keys; nil: there is none
}

// A Store is one configured backend. Its methods may be called by many goroutines at once. A Store that was
// closed returns errors that match cacheutils.ErrClosed.
type Store struct {
	Config
	live     bool
	referrer engine.Referrer    // the engine, where it is one
	swapper  engine.LiveSwapper // likewise
	checkKey func(string) error
	clock    engine.Clock // the engine, if it is one
	sealer   entry.Sealer
	secrets  *keyenc.Secrets // by KeySecret; nil: there is none
	unkeyed  *keyenc.Secrets // in the place of that, for KeyFor
	prefix   string          // prefix:version: before every key, unless there is a key function

	// timed says that the engine bounds operations by the operation timeout, too, and gives those more time of
	// which the answer is arriving.
	timed bool

	closed     atomic.Bool // nothing is begun any more
	shutting   sync.Once   // closes the engine, when the last flight has ended
	shutErr    error
	answered   atomic.Int64      // when the store answered last, in nanoseconds since epoch
	each       engine.EachGetter // the engine, if it is one
	discards   bool
	tooLarge   atomic.Int64 // the least bytes for which the engine had no room, where several versions had sections
	flights    flight.Group
	later      chan struct{} // has a token for each result that was handed out and is being stored; nil: none is
	orphans    orphans
	orphaning  atomic.Int64 // leases that are being taken away
	sightings  sightings
	background background
	renewals   renewals
	lines      logging.Limiter
}

// maxLater bounds how many results of a Store wait to be stored after they were handed out. Callers
// whose results would be more wait as well.
const maxLater = 256

var epoch = time.Now().Add(-1) // so that it's over

// New returns a Store. Its prefix and version are those of which CheckHead has returned nil.
func New(config Config) *Store {
	c := &Store{Config: config}
	if c.KeyFunction == nil {
		c.prefix = composePrefix(c.KeyPrefix, c.Version)
	}
	traits := c.Engine.Traits()
	c.live, c.timed, c.discards = traits.HoldsLive, traits.KeepsTime, traits.Discards
	if c.live {
		c.referrer, _ = engine.As[engine.Referrer](c.Engine)
		c.swapper, _ = engine.As[engine.LiveSwapper](c.Engine)
	}
	c.sealer = entry.Sealer{Live: c.live, CompressAbove: c.CompressAbove, MaxDecoded: c.MaxDecoded}
	if c.StoreLater && !c.live {
		c.later = make(chan struct{}, maxLater)
	}
	if len(c.KeySecret) > 0 {
		c.secrets = keyenc.NewSecrets(c.KeySecret, nil)
	}
	c.flights.Remote, c.flights.Lease, c.flights.Idle = !c.live && !c.discards, c.Lease, func() { c.shut() }
	c.unkeyed = c.secrets
	if c.secrets == nil && c.IsRemote() {
		c.unkeyed = UnkeyedSecrets("package cache", c.Name)
	}
	c.each, _ = engine.As[engine.EachGetter](c.Engine)
	c.clock, _ = engine.As[engine.Clock](c.Engine)
	c.tooLarge.Store(math.MaxInt64)
	c.answered.Store(int64(time.Since(epoch)))
	if k, ok := engine.As[engine.KeyChecker](c.Engine); ok {
		c.checkKey = k.CheckKey
	}
	return c
}

// Holds returns nil if the store can hold the task's values, else an error as that of Task.Err.
func (c *Store) Holds(t *Task) error {
	if c.sealer.HoldsLive(t.typ, t.shared) {
		return nil
	}
	return t.typ.Err()
}

// IsRemote reports whether other processes may have the same entries.
func (c *Store) IsRemote() bool { return c.flights.Remote }

// Secrets returns how a cachekey.Secret stands in keys of the Store, or nil if it has no KeySecret.
func (c *Store) Secrets() *keyenc.Secrets { return c.secrets }

// now returns the time by which entries age: the engine's, if it has a clock. Otherwise it is, in this process's memory, the
// earlier end of two clocks, see package clock, and elsewhere the wall's, which other processes have too.
func (c *Store) now() time.Time {
	switch {
	case c.clock != nil:
		return c.clock.Now()
	case c.live:
		return clock.Time()
	default:
		return time.Now()
	}
}

// timeoutOf returns timeout, or what it stands for.
func (c *Store) timeoutOf(timeout time.Duration) time.Duration {
	if timeout == DefaultTimeout {
		return c.Timeout
	}
	return timeout
}

// staleFor returns how long the task's values may be served past their timeout.
func (c *Store) staleFor(task *Task) time.Duration {
	if task.Stale == DefaultStale {
		return c.Stale
	}
	return max(task.Stale, 0)
}

// Servers returns what is known of each server of the engine, without asking it; nil if it has none.
func (c *Store) Servers() []engine.Server {
	if e, ok := engine.As[engine.ServerEngine](c.Engine); ok {
		return e.Servers()
	}
	return nil
}

// Health asks each server of the engine at once whether it answers. It returns by address nil or what is wrong.
func (c *Store) Health(ctx context.Context) map[string]error {
	if e, ok := engine.As[engine.ServerEngine](c.Engine); ok {
		return e.Ping(ctx)
	}
	return nil
}

// replayDelete has a key removed later, which could not be removed, or given a group's new generation, for
// that err, if the engine does so.
func (c *Store) replayDelete(stored string, err error) error {
	if r, ok := engine.As[engine.Replayer](c.Engine); ok && r.ReplayDelete(stored) {
		return fmt.Errorf("%w: %w", cacheutils.ErrQueued, err)
	}
	return err
}

// shut closes the engine.
func (c *Store) shut() error {
	c.shutting.Do(func() {
		c.background.close()
		if err := c.Engine.Close(); err != nil {
			c.shutErr = errtext.Wrap(err, "close %q", c.Name)
		}
	})
	return c.shutErr
}

// composePrefix is what Django puts before a key.
func composePrefix(prefix, version string) string { return prefix + ":" + version + ":" }
