package codec

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"fmt"
	"math/bits"
	"os"
	"reflect"
	"sync"
	"testing"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/test/codectest"
)

func ptr[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }

func romeData(t *testing.T) []byte {
	if b, err := os.ReadFile("/usr/share/zoneinfo/Europe/Rome"); err == nil {
		return b
	}
	t.Skip("no zone database in files")
	return nil
}

func sizeOf(v any) int {
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	size, _ := Of(reflect.TypeOf(v)).Size(p.UnsafePointer())
	return size
}

// rows returns a matrix whose rows are cut from one array.
func rows(n, width int) [][]byte {
	all := make([]byte, n*width)
	matrix := make([][]byte, n)
	for i := range matrix {
		matrix[i] = all[i*width : (i+1)*width]
	}
	return matrix
}

func TestSize(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("the sizes are those of 64-bit machines")
	}
	type live struct {
		name string
		m    map[string]int
		f    func()
		c    chan int
		e    error
	}
	type guarded struct {
		mu   sync.Mutex
		data []byte
	}
	kb := make([]byte, 1024)
	strings := make([]string, 100)
	for i := range strings {
		strings[i] = string(kb)
	}
	loop := &codectest.Tree{}
	loop.Left, loop.Right = loop, loop
	for _, test := range []struct {
		name     string
		v        any
		min, max int
	}{
		{"int", 1, 8, 8},
		{"string", string(kb), 16 + 1024, 16 + 1024},
		{"bytes", kb, 24 + 1024, 24 + 1024},
		{"spare capacity", make([]byte, 1, 1024), 24 + 1024, 24 + 1024},
		{"strings", strings, 24 + 100*(16+1024), 24 + 1792 + 100*1024},
		{"more elements than are looked at", make([][100]*int, 100_000), 24 + 100_000*800, 24 + 100_000*800 + 8<<10},
		{"any", struct{ V any }{strings}, 100 * 1040, 100*1040 + 300},
		{"map", map[string][]byte{"a": kb, "b": make([]byte, 1024)}, 2 * 1024, 3 * 1024},
		{"unexported fields", &live{name: string(kb), m: map[string]int{"a": 1}, f: func() {}}, 1024, 2048},
		{"error behind an unexported field", live{e: &os.PathError{Op: string(kb)}}, 1024, 2048},
		{"guarded pointee", &guarded{data: kb}, 8 + 32, 8 + 40},
		{"guarded value", guarded{data: kb}, 1024, 2048},
		{"one by two ways", [][]byte{kb, kb}, 24 + 48 + 1024, 24 + 48 + 1024},
		{"rows of one array", rows(100, 1<<10), 24 + 2400 + 100<<10, 24 + 2700 + 106<<10},
		{"endless", loop, 8 + int(unsafe.Sizeof(*loop)), 8 + int(unsafe.Sizeof(*loop)) + 16},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := sizeOf(test.v); got < test.min || got > test.max {
				t.Errorf("want %d to %d, got %d", test.min, test.max, got)
			}
		})
	}
}

// A map that others may be writing must not be walked: that ends the program. So what has a guard counts by its own size,
// wherever in it the guard is, and in a copy that has only a pointer to one, too.
func TestSize_OfWhatOthersMayBeWriting(t *testing.T) {
	type shard struct {
		mu sync.Mutex
		m  map[string]*int
	}
	type sharded struct{ shards [4]shard }
	type byPointer struct {
		mu *sync.RWMutex
		m  map[string]*int
	}
	type byLocker struct {
		mu sync.Locker
		m  map[string]*int
	}
	type holder struct {
		text string
		all  byPointer
	}
	words := make(map[string]*int)
	for i := range 1000 {
		words[fmt.Sprint(i)] = new(int)
	}
	one := shard{m: words}
	kb := string(make([]byte, 1024))
	for _, test := range []struct {
		name     string
		v        any
		min, max int
	}{
		{"an array of guarded structs", &sharded{[4]shard{{m: words}}}, 48, 128},
		{"an array behind a pointer", &[1]*shard{&one}, 8 + 8 + 16, 64},
		{"an array of guards", &struct {
			mu [2]sync.Mutex
			m  map[string]*int
		}{m: words}, 24, 64},
		{"arrays in a map", map[string]*[2]shard{"a": {{m: words}}}, 32, 1024},
		{"a guard behind a pointer", &byPointer{new(sync.RWMutex), words}, 16, 64},
		{"a copy that refers to its guard", byPointer{new(sync.RWMutex), words}, 16, 64},
		{"a copy with a Locker", byLocker{new(sync.Mutex), words}, 24, 64},
		{"a copy beside others", holder{kb, byPointer{new(sync.RWMutex), words}}, 1024, 1024 + 128},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(test.v))
			p.Elem().Set(reflect.ValueOf(test.v))
			size, hidden := Of(reflect.TypeOf(test.v)).Size(p.UnsafePointer())
			if hidden == nil || size < test.min || size > test.max {
				t.Errorf("want %d to %d bytes and something hidden, got %d and %v", test.min, test.max, size, hidden)
			}
		})
	}
}
