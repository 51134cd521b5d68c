package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

func (s *scale) byEntryMemory() (plot, error) {
	raw := line{name: "the value itself"}
	for range s.perEntry.ticks {
		raw.values = append(raw.values, rawPlace)
	}
	last := len(raw.values) - 1
	ours, other := s.perEntry.lines[0], s.perEntry.lines[1]
	return plot{
		name: "entry-memory", title: "Entries: memory", x: "entries", y: "heap per entry", unit: byteCount,
		about: "The growth of the heap by each of these entries, their keys included, compared with the size of the struct.",
		found: fmt.Sprintf("With %s of them an entry of %s takes %s, and one of %s %s.", s.perEntry.ticks[last],
			ours.name, byteCount(ours.values[last]), other.name, byteCount(other.values[last])),
		ticks: s.perEntry.ticks, lines: append(s.perEntry.lines, raw),
	}, nil
}

// fill has the results for ids from have to n cached.
func fill(f load, have, n int) {
	for id := have; id < n; id++ {
		_, err := f(ctx, int64(id), "it")
		must(err)
	}
}

// grown is by how many bytes f makes the heap grow.
func grown(f func()) float64 {
	before := heap()
	f()
	return max(float64(heap())-float64(before), 1)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools still held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// availableMemory is in bytes.
func availableMemory() float64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 4 << 30
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "MemAvailable:" {
			if kib, err := strconv.ParseFloat(fields[1], 64); err == nil {
				return kib * 1024
			}
		}
	}
	return 4 << 30
}

// count writes n with thin separators.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// bySizeMemory is how much memory an entry takes with larger and larger values.
func (s *scale) bySizeMemory() (plot, error) {
	c, err := backends.Get("default")
	if err != nil {
		return plot{}, err
	}
	var p plotted
	for _, size := range sizes() {
		data := randomBytes(size)
		compute := func(context.Context, int64) (blob, error) { return blob{append([]byte(nil), data...)}, nil }
		n := min(max(s.memory/size, 16), 20_000)
		perEntry := func(name string, opts ...decorators.Option) float64 {
			must(c.Clear(ctx))
			cached, _ := decorators.Cached1(compute, append(opts, decorators.Key(fmt.Sprint("memory-", size, name)))...)
			return grown(func() {
				for id := range n {
					_, err := cached(ctx, int64(id))
					must(err)
				}
			}) / float64(n)
		}
		encoded := perEntry("encoded")
		shared := perEntry("shared", decorators.Shared())
		p.add(sizeName(size), []string{"locmem", "locmem, Shared()", "the value itself"},
			[]float64{encoded, shared, float64(size) + 24})
	}
	err = c.Clear(ctx)
	last := len(p.ticks) - 1
	more := func(i int) float64 { return p.lines[0].values[i] - p.lines[2].values[i] }
	return plot{
		name: "memory", title: "Size of values: memory", x: "size of the value", y: "heap per entry", unit: byteCount,
		about: "The growth of the heap by each entry in memory with a []byte of that size, its key included, compared with the struct and its bytes.",
		found: fmt.Sprintf("An entry takes %s more than a value of %s, and %.1f %% more than one of %s.", byteCount(more(0)),
			p.ticks[0], 100*more(last)/p.lines[2].values[last], p.ticks[last]),
		ticks: p.ticks, lines: p.lines,
	}, err
}
