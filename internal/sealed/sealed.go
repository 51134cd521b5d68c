// Package sealed keeps what is in a store from those who can read or write there: an engine around another one
// encrypts each item, and takes none that it has not sealed for its key.
package sealed

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/random"
)

// The value of a sealed item is, in this order: a head, a nonce, and what the item's value was encrypted to, with its
// tag. The head has a byte that says what format it is, the number of the secret, the item's flags, and when it ends, in Unix
// milliseconds, or 0 for never: 1, 4, 4 and 8 bytes, big-endian. The head and the stored key are the associated data: the head is
// always as long, so that no other pair of them makes the same bytes. The flags in the store are always
// entry.FlagsSealed.
//
// So whoever can write to the store can't make an item, nor change one, nor move it to another key. What they can do is to
// put back what was stored under the same key before, as long as that has not ended, and to remove items.
//
// What can't be opened is returned as an item with those flags and no value, which counts for nobody and is
// overwritten: it can be swapped as it has its CAS, and Add finds that something is there.
const (
	format   = 1
	headSize = 1 + 4 + 4 + 8

	// Overhead is how much longer a value is when it is sealed, in bytes.
	Overhead = headSize + nonceSize + tagSize
)

// late is how long after its end an item is still opened: stores that count in seconds may end it so much late. What
// somebody has recorded and puts back is not opened after that.
const late = 2 * time.Second

// An Engine is the engine inside, with all items sealed.
type Engine struct {
	engine.Engine
	secrets Secrets
	open    string
	now     func() time.Time
}

// each is an Engine around one whose multi-get does without a map.
type each struct {
	*Engine
	inside engine.EachGetter
}

// New returns an engine around e, which stores bytes, that seals all items but those whose keys begin with open, unless
// that is empty.
func New(e engine.Engine, secrets Secrets, open string) engine.Engine {
	s := &Engine{Engine: e, secrets: secrets, open: open, now: time.Now}
	if by, ok := engine.As[engine.Clock](e); ok {
		s.now = by.Now
	}
	if inside, ok := engine.As[engine.EachGetter](e); ok {
		return &each{s, inside}
	}
	return s
}

// Unwrap returns the engine inside.
func (s *Engine) Unwrap() engine.Engine { return s.Engine }

func (s *Engine) Get(ctx context.Context, key string) (engine.Item, error) {
	item, err := s.Engine.Get(ctx, key)
	if err != nil {
		return engine.Item{}, err
	}
	item, _ = s.opened(key, item)
	return item, nil
}

func (s *Engine) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	items, err := s.Engine.GetMany(ctx, keys)
	for key, item := range items {
		items[key], _ = s.opened(key, item)
	}
	return items, err
}

// GetEach opens items when all have come: others may wait while they are handed over.
func (s *each) GetEach(ctx context.Context, keys []string, each func(i int, item engine.Item)) error {
	type got struct {
		i    int
		item engine.Item
	}
	all := make([]got, 0, len(keys))
	err := s.inside.GetEach(ctx, keys, func(i int, item engine.Item) { all = append(all, got{i, item}) })
	for _, g := range all {
		item, _ := s.opened(keys[g.i], g.item)
		each(g.i, item)
	}
	return err
}

func (s *Engine) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	return s.Engine.Set(ctx, key, s.sealed(key, item, s.end(timeout)), timeout)
}

func (s *Engine) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return s.Engine.Add(ctx, key, s.sealed(key, item, s.end(timeout)), timeout)
}

func (s *Engine) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return s.Engine.CompareAndSwap(ctx, key, s.sealed(key, item, s.end(timeout)), timeout)
}

// maxSwaps is how often Incr tries when others are faster.
const maxSwaps = 1000

// Incr reads the number and swaps in the sum, with what is left of its time, since the engine inside can't add up what is
// sealed.
func (s *Engine) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if s.isOpen(key) {
		return s.Engine.Incr(ctx, key, delta)
	}
	for n := range maxSwaps {
		if n > 3 { // those who are faster all the time are given way to
			if err := clock.Sleep(ctx, random.Below(time.Millisecond, "sealed", key)); err != nil {
				return 0, err
			}
		}
		item, err := s.Engine.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		item, end := s.opened(key, item)
		left := time.Duration(cacheutils.Forever)
		if end != never { // which stays, so that a number that is changed all the time ends too
			left = max(time.UnixMilli(end).Sub(s.now()), time.Millisecond)
		}
		number, err := strconv.ParseInt(string(item.Value), 10, 64)
		sum := number + delta
		if err != nil || (sum > number) != (delta > 0) && delta != 0 {
			return 0, fmt.Errorf("%w: it is no integer, or the sum is none that an int64 can hold", cacheutils.ErrNotNumber)
		}
		item.Value = strconv.AppendInt(nil, sum, 10)
		swapped, err := s.Engine.CompareAndSwap(ctx, key, s.sealed(key, item, end), left)
		if swapped || err != nil {
			return sum, err
		}
	}
	return 0, fmt.Errorf("cacheutils: others have changed the number %d times in between", maxSwaps)
}

// isOpen reports whether what is under key is not sealed.
func (s *Engine) isOpen(key string) bool { return s.open != "" && strings.HasPrefix(key, s.open) }

// never is the end of what has none.
const never = 0

// end returns when an item ends that is stored now, in Unix milliseconds, rounded up.
func (s *Engine) end(timeout time.Duration) int64 {
	now := s.now()
	if timeout >= cacheutils.Forever-time.Duration(now.UnixNano()) {
		return never
	}
	return now.Add(timeout + time.Millisecond - 1).UnixMilli()
}

// sealed returns what is stored in place of item, which ends then.
func (s *Engine) sealed(key string, item engine.Item, end int64) engine.Item {
	if s.isOpen(key) {
		return item
	}
	by := &s.secrets.all[0]
	size := Overhead + len(item.Value)
	memory := make([]byte, headSize+nonceSize, size+headSize+len(key))
	memory[0] = format
	binary.BigEndian.PutUint32(memory[1:], by.number)
	binary.BigEndian.PutUint32(memory[5:], item.Flags)
	binary.BigEndian.PutUint64(memory[9:], uint64(end))
	nonce := memory[headSize:]
	by.key.newNonce(nonce)
	item.Value = by.key.seal(memory[:headSize+nonceSize:size], nonce, item.Value, data(memory[size:size], memory[:headSize], key))
	item.Flags, item.Cost = entry.FlagsSealed, size
	return item
}

// opened returns what was sealed, and when it ends, or an item that counts for nobody.
func (s *Engine) opened(key string, item engine.Item) (engine.Item, int64) {
	if s.isOpen(key) {
		return item, never
	}
	box, flags := item.Value, item.Flags
	item.Value, item.Flags, item.Cost = nil, entry.FlagsSealed, 0
	if flags != entry.FlagsSealed || len(box) < Overhead || box[0] != format {
		return item, never
	}
	head, nonce, box := box[:headSize], box[headSize:headSize+nonceSize], box[headSize+nonceSize:]
	number, flags, end := binary.BigEndian.Uint32(head[1:]), binary.BigEndian.Uint32(head[5:]), int64(binary.BigEndian.Uint64(head[9:]))
	size := len(box) - tagSize
	memory := make([]byte, size+headSize+len(key))
	for i := range s.secrets.all {
		by := &s.secrets.all[i]
		if by.number != number {
			continue
		}
		plain, err := by.key.open(memory[:0:size], nonce, box, data(memory[size:size], head, key))
		if err != nil {
			continue
		}
		if end != never && s.now().Sub(time.UnixMilli(end)) > late {
			break
		}
		item.Value, item.Flags, item.Cost = plain, flags, size
		return item, end
	}
	return item, never
}

// data appends the associated data to b, which has room for them.
func data(b, head []byte, key string) []byte { return append(append(b, head...), key...) }
