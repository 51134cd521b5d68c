// Scale measures how what calls cost grows with the number of entries, of goroutines, of groups
// and with the size of values, and how much memory entries take, and draws it:
//
//	cd bench
//	go run ./cmd/scale                               # prints the figures
//	go run ./cmd/scale -docs ../docs/performance.md  # writes them there, and the plots into img in its folder
//	go run ./cmd/scale -short                        # to see that it runs
//
// They are put between <!-- scale --> and <!-- /scale -->. The number of entries ends at 10 million,
// or where they would take more than 60 % of the memory that is available. The lines of
// memcached need that program.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/bench/internal/memcached"
	"github.com/cacheutils/cacheutils/bench/internal/report"
)

func main() {
	testing.Init()
	var (
		docs      = flag.String("docs", "", "a `file` to put the figures in")
		benchtime = flag.String("benchtime", "100ms", "how long one measurement is")
		entries   = flag.Int("entries", 10_000_000, "the largest number of entries")
		rounds    = flag.Int("rounds", 5, "how often each point is measured")
		short     = flag.Bool("short", false, "one round of 10 calls, and few of everything")
	)
	flag.Parse()
	s := scale{rounds: *rounds, entries: *entries, goroutines: 10_000, memory: 256 << 20}
	if *short {
		*benchtime = "10x"
		s = scale{rounds: 1, entries: 10_000, goroutines: 100, memory: 4 << 20}
	}
	err := flag.Set("test.benchtime", *benchtime)
	if err == nil {
		err = run(&s, *docs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// images is the folder of the plots, in the document's folder.
const images = "img"

func run(s *scale, docs string) error {
	stop, err := s.configure()
	if err != nil {
		return err
	}
	defer stop()
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s, with `Cached1` and `Cached2`. Both axes are logarithmic, and each point is the median of %d measurements.\n",
		report.Machine(), s.rounds)
	for _, draw := range []func() (plot, error){s.byEntries, s.byEntryMemory, s.byGoroutines, s.byGroups, s.bySize, s.bySizeMemory} {
		start := time.Now()
		p, err := draw()
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "scale: %s took %v\n", p.name, time.Since(start).Round(time.Second))
		b.WriteString("\n" + p.markdown(images))
		if docs != "" {
			folder := filepath.Join(filepath.Dir(docs), images)
			err := errors.Join(
				os.MkdirAll(folder, 0o755),
				os.WriteFile(filepath.Join(folder, p.name+".svg"), []byte(p.svg()), 0o644))
			if err != nil {
				return err
			}
		}
	}
	if docs == "" {
		fmt.Print(b.String())
		return nil
	}
	return report.Write(docs, "scale", b.String())
}

// A scale is what is measured, and up to where.
type scale struct {
	rounds     int
	entries    int
	goroutines int
	memory     int    // bytes of values whose memory is measured at once
	addr       string // of memcached, or ""

	perEntry plotted // by byEntries, for byEntryMemory
}

// maxItem is the largest item that memcached is told to take.
const maxItem = 8 << 20

// configure makes a locmem with room for all of it the default backend, and memcached another.
func (s *scale) configure() (stop func(), err error) {
	config := backends.Config{"default": {
		Backend: "locmem",
		Timeout: 24 * time.Hour,
		Options: map[string]any{"max_entries": 10 * s.entries, "max_cost": 1 << 40},
	}}
	stop = func() {}
	addr, end, err := memcached.Start("-I", "8m", "-m", "512")
	switch {
	case err == nil:
		s.addr, stop = addr, end
		config["memcached"] = backends.Settings{
			Backend: "memcached", Location: []string{addr}, Timeout: 24 * time.Hour,
			Options: map[string]any{"max_item_size": maxItem},
		}
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(os.Stderr, "scale: memcached is not installed: no lines of it")
	default:
		return nil, err
	}
	if err := backends.Configure(config); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
