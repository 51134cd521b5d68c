package engine

import (
	"context"
	"time"
)

// A Wrapper is an engine around another one, such as one that counts or logs what is done. As
// finds the parts that carry no data in the engine inside, unless the wrapper has them itself.
//
// A wrapper that isn't one, or that has no Unwrap, hides all optional parts of the engine inside. Around
// memcached: nobody can ping its servers or list them, keys that it can't take are found out only when it
// refuses them, and no invalidation waits for a server to be back. Traits aren't parts: a wrapper that embeds
// an Engine has those of that one, and has a method Traits of its own where that isn't right.
type Wrapper interface {
	Engine

	// Unwrap returns the engine inside. It always returns the same one.
	Unwrap() Engine
}

// As returns e as a T, which is the type of an optional part, and whether it is one. For the parts that carry no
// data (ServerEngine, InfoEngine, Replayer, KeyChecker and Clock) it also asks the engines that e is wrapped around, from
// the outside in: see [Wrapper]. The parts that read and write items (EachGetter, Peeker, Referrer, LiveSwapper) a wrapper has
// to have itself, since around it they would bypass what it does.
func As[T any](e Engine) (part T, ok bool) {
	for e != nil {
		if part, ok = e.(T); ok {
			return part, true
		}
		w, wraps := e.(Wrapper)
		if !wraps || carriesData[T]() {
			break
		}
		e = w.Unwrap()
	}
	return part, false
}

// carriesData reports whether T is not one of the parts that As looks for inside a wrapper.
func carriesData[T any]() bool {
	switch any((*T)(nil)).(type) {
	case *ServerEngine, *InfoEngine, *Replayer, *KeyChecker, *Clock:
		return false
	default:
		return true
	}
}

// A KeyChecker is an engine that can't take every key. CheckKey returns an error that
// matches cacheutils.ErrInvalidKey and says what is wrong with the key, without its text, which may be secret; the
// caller then doesn't use the key. A wrapper that changes keys has a CheckKey of its own.
type KeyChecker interface {
	CheckKey(key string) error
}

// A Clock is an engine by whose clock entries age: when they are stale, and when they end. Without it that is the clock
// of the host, and where the clocks of hosts differ, an entry ends earlier or later in some of them. A store that
// has a clock which all who use it share, as a database does, had better have entries age by that one.
type Clock interface {
	// Now returns the time by the clock, at once: it doesn't ask the store. It may be called by many goroutines at once.
	Now() time.Time
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

// A Peeker is an engine that can look up an item without taking that for a use of it: to show what is there must not keep it
// there.
type Peeker interface {
	// Peek is Get that changes nothing.
	Peek(ctx context.Context, key string) (Item, error)
}

// A Referrer is an engine with the trait HoldsLive that hands out references to its items.
type Referrer interface {
	// Ref returns a reference to the item under key, or nil if there is none, or none that can be referred to. It does
	// not retain key.
	Ref(key string) Ref
}

// A Ref is a reference to one item. It doesn't keep the item in memory. An engine that drops items which are not
// used takes calls of Item into account, as it does lookups.
type Ref interface {
	// Item returns the item, which is not to be changed, while a lookup would find it, and nil ever after, from before
	// what replaces it can be seen.
	Item() *Item
}

// A LiveSwapper is an engine with the trait HoldsLive that swaps an item without a lookup before.
type LiveSwapper interface {
	// SwapLive is CompareAndSwap for an item of which is known what live value it has: old, which is a
	// pointer. With a timeout of 0 it leaves nothing under the key, and neither does
	// CompareAndSwap.
	SwapLive(ctx context.Context, key string, old any, item Item, timeout time.Duration) (bool, error)
}
