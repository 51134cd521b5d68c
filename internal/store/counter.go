package store

import (
	"sync/atomic"
	"unsafe"
)

// A Counter is a number that many goroutines may add to at once. That of a Task of NewTask is spread
// over cells, each on a cache line of its own, and a goroutine keeps to the cell that its stack's
// address says, so that adding is not waiting for each other. The zero Counter is one cell.
type Counter struct {
	one   atomic.Uint64
	cells *[counterCells]counterCell
}

type counterCell struct {
	n atomic.Uint64
	_ [56]byte
}

const counterCells = 8

// shard is called before the first Add.
func (c *Counter) shard() { c.cells = new([counterCells]counterCell) }

// Add adds n.
func (c *Counter) Add(n uint64) {
	if c.cells == nil {
		c.one.Add(n)
		return
	}
	var here byte
	// Stacks are at least 2 KiB, and larger ones are a power of two.
	at := uintptr(unsafe.Pointer(&here)) >> 11
	c.cells[(at^at>>3^at>>6)%counterCells].n.Add(n)
}

// Load returns the sum. While others add it may leave some of that out.
func (c *Counter) Load() uint64 {
	sum := c.one.Load()
	if c.cells != nil {
		for i := range c.cells {
			sum += c.cells[i].n.Load()
		}
	}
	return sum
}
