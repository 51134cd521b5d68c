// Package random is where the library gets what it decides by chance: how long to wait, tokens and generations that are
// nobody else's. It is one place, so that a simulation can have all of it follow from one number.
//
// Each draw has a name: who draws, such as a backend, and for what, such as a key. Outside of a simulation names mean nothing.
package random

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

var simulated atomic.Pointer[simulation]

// A simulation is what draws follow from. Those of one name come one after the other, whatever is drawn for others: so they
// don't depend on which goroutine comes first.
type simulation struct {
	seed  uint64
	mu    sync.Mutex
	draws map[name]uint64
}

type name struct{ who, what string }

// Simulate has all draws of the process follow from the seed until stop is called. Nothing that is drawn is a secret then.
// It is for one simulation at a time.
func Simulate(seed uint64) (stop func()) {
	simulated.Store(&simulation{seed: seed, draws: make(map[name]uint64)})
	return func() { simulated.Store(nil) }
}

func (s *simulation) bits(who, what string) uint64 {
	s.mu.Lock()
	n := s.draws[name{who, what}]
	s.draws[name{who, what}] = n + 1
	s.mu.Unlock()
	h := fnv.New64a()
	var seed [16]byte
	binary.LittleEndian.PutUint64(seed[:], s.seed)
	binary.LittleEndian.PutUint64(seed[8:], n)
	h.Write(seed[:])
	h.Write([]byte(who))
	h.Write([]byte{0})
	h.Write([]byte(what))
	return mix(h.Sum64())
}

// mix is the finalizer of MurmurHash3: each bit of x changes half of those of the result.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Uint64 returns any number.
func Uint64(who, what string) uint64 {
	if s := simulated.Load(); s != nil {
		return s.bits(who, what)
	}
	return rand.Uint64()
}

// Float64 returns a number from 0 on, below 1.
func Float64(who, what string) float64 { return float64(Uint64(who, what)>>11) / (1 << 53) }

// Below returns a duration from 0 on, below d, which is positive.
func Below(d time.Duration, who, what string) time.Duration {
	if s := simulated.Load(); s != nil {
		return time.Duration(s.bits(who, what) % uint64(d))
	}
	return rand.N(d)
}

// UUID returns a random UUID as text, which nobody can guess outside of a simulation. It panics if the system has no random
// bytes.
func UUID(who, what string) string {
	s := simulated.Load()
	if s == nil {
		return uuid.NewString()
	}
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], s.bits(who, what))
	binary.BigEndian.PutUint64(id[8:], s.bits(who, what))
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // of RFC 9562
	return id.String()
}
