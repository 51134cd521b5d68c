package backends

import (
	"sync/atomic"
	"unsafe"
)

// A Counter is a number that many goroutines may add to at once without waiting for each other.
// It is spread over cells, each on a cache line of its own, and a goroutine keeps to the cell that
// its stack's address says.
type Counter struct {
	cells [counterCells]struct {
		n atomic.Uint64
		_ [56]byte
	}
}

const counterCells = 8

// Add adds n.
func (c *Counter) Add(n uint64) {
	var here byte
	// Stacks are at least 2 KiB, and larger ones are a power of two.
	at := uintptr(unsafe.Pointer(&here)) >> 11
	c.cells[(at^at>>3^at>>6)%counterCells].n.Add(n)
}

// Load returns the sum, which may be one that there never was while others add.
func (c *Counter) Load() (sum uint64) {
	for i := range c.cells {
		sum += c.cells[i].n.Load()
	}
	return sum
}
