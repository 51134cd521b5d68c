// Package engine says what a store has to do to be a cache backend. It is for those who write one.
//
// Implement [Engine], register a [Driver] that opens it, and it can be
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

	// Live, if not nil, is the value itself, and Value is nil. Only engines with the trait HoldsLive
	// are given such items.
	Live any

	// Flags travel with the value, as in memcached's protocol.
	Flags uint32

	// Ephemeral says that the item is for seconds: it marks that a value is being computed. An engine
	// that bounds its memory need not count it, or make room for it.
	Ephemeral bool

	// Cost is the size of the item in bytes, its key not included, for engines that bound
	// their memory.
	Cost int

	// CAS identifies this very write of the key. Get and GetMany fill it in,
	// CompareAndSwap looks at it, nothing else does.
	CAS uint64
}

// Traits say what an engine is like, and so how it is used. The zero value is right for a store
// outside of this process whose methods keep to their contexts.
type Traits struct {
	// HoldsLive is for engines in this process's memory: they hold values as they are (Item.Live),
	// besides encoded ones. An engine that has to see a value's bytes leaves it false.
	HoldsLive bool

	// Discards is for engines that store nothing. What they say of Add and CompareAndSwap means
	// nothing, and no leases are taken on them.
	Discards bool

	// ClearsAll is for engines whose Clear removes every item, whatever the prefix.
	ClearsAll bool

	// KeepsTime is for engines that bound each of their operations by Settings.OperationTimeout
	// themselves, and know better when: an answer that is arriving may get more time. Users' operations
	// then have the user's context, and so has the lookup of a decorated call, whose context ends sooner where
	// the user's has a deadline. The contexts of the later steps of a computation (to take the lease, to
	// look again, to store the result) end after that time all the same; one step may be several operations.
	KeepsTime bool
}

// An Engine is a store of items by key. Its methods may be called by many goroutines at
// once and return soon after their context has ended, with the context's error. Unless the engine has the
// trait KeepsTime or HoldsLive, their contexts end at the latest after Settings.OperationTimeout, also where
// a user's context has no end. So an engine that keeps to its context keeps nobody for longer.
//
// Optional parts of an engine are interfaces of their own, which are found by [As].
//
// A timeout is positive, and cacheutils.Forever for an item that never expires; where a
// store counts in seconds it is rounded up. A key is never empty. Engines whose keys are
// restricted implement [KeyChecker]. The string of a key may be kept by Set, Add and
// CompareAndSwap; every other method may use it only until it returns.
//
// Errors are for stores that fail. That there is no item is never an error, except from
// Get and Incr, which return one that matches cacheutils.ErrCacheMiss.
type Engine interface {
	// Traits says what the engine is like. It always returns the same, at no cost.
	Traits() Traits

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

	// Delete removes the item and reports whether there was one.
	Delete(ctx context.Context, key string) (bool, error)

	// Incr adds delta to the item, whose value is a decimal number, and returns the sum.
	// No other operation on the key comes in between, and the item's timeout stays. An item
	// that is no number is an error that matches cacheutils.ErrNotNumber.
	Incr(ctx context.Context, key string, delta int64) (int64, error)

	// Clear removes every item whose key begins with prefix, which is every item if that is empty. An engine
	// that can't tell them apart removes every item, and has the trait ClearsAll. Where other programs may have items in
	// the store, it does so only if an option of its own says that it may; otherwise Clear is an error that matches
	// cacheutils.ErrConfig and says what to set, and removes nothing.
	Clear(ctx context.Context, prefix string) error

	// Close releases connections, goroutines and memory. It may be called again, which
	// returns nil.
	//
	// An engine stays closed. Every operation that begins after Close returns an error that
	// matches cacheutils.ErrClosed and touches nothing: no store, no server. Where a method
	// returns no error, Ref returns nil, and ReplayDelete false.
	// Operations that are under way when Close is called end with their outcome or with
	// ErrClosed. None of them hangs, or leaves a connection, a goroutine or an item behind.
	Close() error
}
