package codec

import (
	"math/bits"
	"reflect"
	"runtime"
	"testing"
)

// What is counted is within twice the heap, below and above, wherever the large parts of a value are.
func TestSize_HeapOfHostileShapes(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("the sizes are those of 64-bit machines")
	}
	const n, large = 1000, 1 << 20
	type shared struct{ L, R any }
	blob := func(size int) *[]byte { b := make([]byte, size); return &b }
	at := func(places ...int) func() any {
		return func() any {
			parts := make([]any, n)
			for _, i := range places {
				parts[i] = blob(large)
			}
			return parts
		}
	}
	for name, value := range map[string]func() any{
		"behind index 256":  at(257, 300, 999),
		"at the ends":       at(0, 999),
		"in the middle":     at(500),
		"at odd places":     at(1, 3, 5, 333, 777),
		"behind interfaces": func() any { return []any{[]any{[]any{shared{blob(large), map[any]any{1: blob(large)}}}}} },
		"shared": func() any {
			s := any(blob(large))
			for range 100 {
				s = &shared{s, s}
			}
			return s
		},
		"one value of a map": func() any {
			m := map[int]any{}
			for i := range n {
				m[i] = nil
			}
			m[777] = blob(large)
			return m
		},
		"a key of a map":  func() any { return map[any]int{string(*blob(large)): 1, "a": 2} },
		"many small maps": func() any { return manyOf(n, func(i int) map[int]int { return map[int]int{i: i} }) },
		"strings":         func() any { return manyOf(n, func(i int) string { return string(make([]byte, i)) }) },
		"one string":      func() any { one := string(*blob(large)); return manyOf(n, func(int) string { return one }) },
		"spare capacity":  func() any { return manyOf(n, func(int) []int { return make([]int, 1, 100) }) },
		"cut from one":    func() any { all := make([]byte, large); return manyOf(n, func(i int) []byte { return all[i*1000:] }) },
		"cut from one, the end first": func() any {
			all := make([]byte, large)
			return manyOf(n, func(i int) []byte { return all[(n-1-i)*1000:] })
		},
		"pointers to structs": func() any { return manyOf(n, func(int) *[17]*int { return new([17]*int) }) },
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&before)
			v := value()
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&after)
			heap := float64(after.HeapAlloc) - float64(before.HeapAlloc)
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			size, _ := Of(reflect.TypeOf(v)).Size(p.UnsafePointer())
			runtime.KeepAlive(v)
			if ratio := float64(size) / heap; ratio < 0.5 || ratio > 2 {
				t.Errorf("%d bytes are counted, and the heap has grown by %.0f", size, heap)
			}
		})
	}
}

// Of more parts than are visited, those at equal distances are, and the rest counts as being like them: wherever the large ones
// are.
func TestSize_OfMoreThanIsVisited(t *testing.T) {
	const n, work = 20_000, 1000
	type large [1024]byte
	typ := Of(reflect.TypeFor[*large]())
	for name, isLarge := range map[string]func(i int) bool{
		"all":             func(int) bool { return true },
		"the first half":  func(i int) bool { return i < n/2 },
		"the second half": func(i int) bool { return i >= n/2 },
		"the last tenth":  func(i int) bool { return i >= n-n/10 },
		"blocks":          func(i int) bool { return i/1000%2 == 0 },
	} {
		parts, want := make([]*large, n), 0
		for i := range parts {
			if isLarge(i) {
				parts[i] = new(large)
				want += 1024
			}
		}
		s := sizer{work: work, seen: map[uintptr]struct{}{}, arrays: map[uintptr]uintptr{}}
		s.visit(piece{typ, reflect.ValueOf(parts).UnsafePointer(), n})
		if off := float64(s.size)/float64(want) - 1; off < -0.05 || off > 0.05 {
			t.Errorf("%s: %d bytes are counted, want %d", name, s.size, want)
		}
		if s.work < 0 {
			t.Errorf("%s: %d parts are visited, want %d at most", name, work-s.work, work)
		}
	}
}
