//go:build unix

package stress_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

// A memory is shared by all processes of a run. Its counters are atomic among them.
//
// The clock is the first of them: each tick is another number, and what ended before something
// else began has the smaller one. So it orders the operations of all processes without any
// doubt about the resolution of a clock, and it is also the source whose versions are
// cached: the value of a computation is the tick at which it began.
type memory struct {
	bytes []byte
}

const (
	cellClock      = iota
	cellOperations // that have been given to clients
	cellEnded      // of those, that have ended
	cellComputations
	cells
)

// newMemory makes a memory and returns the path of its file.
func newMemory(t *testing.T) (memory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "memory")
	if err := os.WriteFile(path, make([]byte, cells*8), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := openMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(m.bytes) })
	return m, path
}

func openMemory(path string) (memory, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return memory{}, err
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, cells*8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	return memory{b}, err
}

func (m memory) cell(n int) *atomic.Int64 { return (*atomic.Int64)(unsafe.Pointer(&m.bytes[n*8])) }

// tick returns a number larger than all before, in any process.
func (m memory) tick() int64 { return m.cell(cellClock).Add(1) }
