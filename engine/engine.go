// Package engine says what a store has to do to be a cache backend.
//
// Implement [Engine], hand a function that opens it to backends.Register, and it can be
// named in a backends.Config like the built-in ones. Run backendtest.Run against it to
// see that it keeps its promises. Keys, codecs, compression, versions and prefixes,
// single computation and everything else that a user sees are done above an engine.
package engine

import (
	"context"
	"time"
)

// An Item is what an engine keeps under a key.
type Item struct {
	// Value is the encoded value. Neither the engine nor the caller changes its bytes
	// once it was handed over.
	Value []byte

	// Live, if not nil, is the value itself, and Value is nil. Only engines whose HoldsLive
	// is true are given such items.
	Live any

	// Flags travel with the value, as in memcached's protocol.
	Flags uint32

	// Brief says that the item is for seconds: it marks that a value is being computed. An engine
	// that bounds its memory need not count it, or make room for it.
	Brief bool

	// Cost is the size of the item in bytes, its key not included, for engines that bound
	// their memory.
	Cost int

	// CAS identifies this very write of the key. Get and GetMany fill it in,
	// CompareAndSwap looks at it, nothing else does.
	CAS uint64
}

// An Engine is a store of items by key. Its methods may be called by many goroutines at
// once and return soon after their context has ended, with the context's error. Unless the engine is
// [Timed] or a [LiveHolder], their contexts end at the latest after Settings.OperationTimeout, also where
// a user's context has no end. So an engine that keeps to its context keeps nobody for longer.
//
// A timeout is positive, and cacheutils.Forever for an item that never expires; where a
// store counts in seconds it is rounded up. A key is never empty. Engines whose keys are
// restricted implement [KeyChecker]. The string of a key may be kept by Set, Add and
// CompareAndSwap; every other method may use it only until it returns.
//
// Errors are for stores that fail. That there is no item is never an error, except from
// Get and Incr, which return one that matches cacheutils.ErrCacheMiss.
type Engine interface {
	// Get returns the item under key.
	Get(ctx context.Context, key string) (Item, error)

	// GetMany returns those of the items that there are, in one round trip to each server.
	// When some servers fail it returns what the others have, together with the error. The
	// keys of the map must not share memory with those given, whose owner may reuse it.
	GetMany(ctx context.Context, keys []string) (map[string]Item, error)

	// Set stores item. An item too large to store is an error that matches
	// cacheutils.ErrTooLarge, and whatever was under the key before is gone.
	Set(ctx context.Context, key string, item Item, timeout time.Duration) error

	// Add stores item and returns true, unless there is one already.
	Add(ctx context.Context, key string, item Item, timeout time.Duration) (bool, error)

	// CompareAndSwap stores item and returns true, if the item under key is still the one
	// that was read with item.CAS. It returns false when that was replaced or is gone.
	CompareAndSwap(ctx context.Context, key string, item Item, timeout time.Duration) (bool, error)

	// Delete removes the item and tells whether there was one.
	Delete(ctx context.Context, key string) (bool, error)

	// Incr adds delta to the item, whose value is a decimal number, and returns the sum.
	// No other operation on the key comes in between, and the item's timeout stays. An item
	// that is no number is an error that matches cacheutils.ErrNotNumber.
	Incr(ctx context.Context, key string, delta int64) (int64, error)

	// Clear removes every item.
	Clear(ctx context.Context) error

	// Close releases connections, goroutines and memory. It may be called again, which
	// returns nil.
	//
	// An engine stays closed. Every operation that begins after Close returns an error that
	// matches cacheutils.ErrClosed and touches nothing: no store, no server. Where a method
	// returns no error, GetLive finds nothing, Sight returns nil, and ReplayDelete false.
	// Operations that are under way when Close is called end with their outcome or with
	// ErrClosed. None of them hangs, or leaves a connection, a goroutine or an item behind.
	Close() error
}

// A LiveHolder is an engine in this process's memory that can hold values as they are
// instead of encoded.
type LiveHolder interface {
	HoldsLive() bool
}

// A Sighter is a LiveHolder that shows and swaps live values without the items around them.
type Sighter interface {
	// GetLive returns the live value under key, if it is one, and tells whether there is an item. It
	// may have none where Get has an item that takes longer to find. It keeps nothing of key.
	GetLive(key string) (live any, there bool)

	// SwapLive is CompareAndSwap for an item of which is known what live value it has: old, which is a
	// pointer.
	SwapLive(ctx context.Context, key string, old any, item Item, timeout time.Duration) (bool, error)

	// Sight returns a sight of the item under key, or nil if there is none or it has no live
	// value. It keeps nothing of key.
	Sight(key string) Sight
}

// A Sight is of one item. Whoever keeps it can see whether the item is what is stored, without
// a look under its key. It doesn't keep the item in memory. An engine that drops items which are not
// used takes calls of Live into account, as it does looks.
type Sight interface {
	// Live returns the item's live value as long as a look would have found that, and nil ever
	// after. It ends before what replaces the item can be seen.
	Live() any
}

// An EachGetter is an engine whose multi-get can do without a map, which costs a part of what a hit
// does.
type EachGetter interface {
	// GetEach is GetMany that calls each, never twice at the same time, for those items that
	// there are, with the index of their key. A key that is given twice may be given an item
	// twice. While each runs the engine may hold what others wait for: it only notes the item. It isn't
	// called any more once GetEach has returned.
	GetEach(ctx context.Context, keys []string, each func(i int, item Item)) error
}

// A Discarder is an engine that stores nothing, if Discards is true. What it says of add and
// compare-and-swap then means nothing, and nobody asks it for leases.
type Discarder interface {
	Discards() bool
}

// A Timed engine, if KeepsTime is true, bounds each of its operations by Settings.OperationTimeout itself,
// and knows better when: an answer that is arriving may get more time. Users' operations then have the user's
// context, and so has the look of a decorated call, whose context ends sooner where the user's has a
// deadline. The contexts of the later steps of a computation (to take the lease, to look again, to store the
// result) end after that time for every engine but a [LiveHolder]; one step may be several operations.
type Timed interface {
	KeepsTime() bool
}

// A KeyChecker is an engine that can't take every key. CheckKey returns an error that
// matches cacheutils.ErrInvalidKey and names the key and what is wrong with it; the
// caller then doesn't use the key.
type KeyChecker interface {
	CheckKey(key string) error
}

// Settings say how to open a backend. The zero value of each field is its default.
type Settings struct {
	// Backend is the name that the engine was registered under.
	Backend string

	// Location has the addresses of servers, a path, or the name of a store.
	Location []string

	// Timeout is how long entries live whose timeout is not given. 0 is 300 seconds, as in
	// Django; cacheutils.Forever is for ever; with a negative one such entries aren't stored.
	Timeout time.Duration

	// KeyPrefix and Version stand before every key: KeyPrefix:Version:key. An empty Version
	// is "1".
	KeyPrefix string
	Version   string

	// KeyFunction, if not nil, makes the key that is stored from a key, the prefix and the
	// version, in place of KeyPrefix:Version:key.
	KeyFunction func(key, prefix, version string) string

	// OperationTimeout is how long an operation may take in all. It is the option operation_timeout,
	// which all backends have: package backends sets it, whatever it was, and leaves the option out of
	// Options. An engine may ignore it, unless it is [Timed].
	OperationTimeout time.Duration

	// Options are the engine's own. An unknown option, or one of the wrong type, is an error
	// that names it.
	Options map[string]any
}
