// Peers measures what calls cost that are cached, with this module and with others, and prints
// how many times as long ours take as tables in Markdown:
//
//	cd bench
//	go run ./cmd/peers           # prints them
//	go run ./cmd/peers -write ../docs/comparison.md -docs ../docs/performance.md
//	go run ./cmd/peers -short    # to see that it runs: the figures mean nothing
//
// docs/comparison.md gets the short form and docs/performance.md all of it, each between <!-- peers --> and
// <!-- /peers -->. Every ratio is of a pair that was measured in turn, in one process. The tables
// of memcached need that program.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/bench/internal/memcached"
	"github.com/cacheutils/cacheutils/bench/internal/report"
)

func main() {
	testing.Init()
	var (
		questions = flag.String("questions", "../docs/comparison.md", "the `file` with the table of the five questions")
		write     = flag.String("write", "", "a `file` to put the short form in")
		docs      = flag.String("docs", "", "a `file` to put all tables in")
		rounds    = flag.Int("rounds", 7, "how often each pair is measured")
		benchtime = flag.String("benchtime", "20ms", "how long one measurement is")
		short     = flag.Bool("short", false, "one round of 10 calls")
		remote    = flag.Bool("remote", false, "print the table of memcached and nothing else")
	)
	flag.Parse()
	if *short {
		*rounds, *benchtime = 1, "10x"
	}
	if err := flag.Set("test.benchtime", *benchtime); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(2)
	}
	if err := run(*questions, *write, *docs, *rounds, *remote); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(questions, write, docs string, rounds int, remote bool) error {
	config := backends.Config{"default": {
		Backend: "locmem", Timeout: timeout, Options: map[string]any{"max_entries": capacity, "max_cost": 4 << 30},
	}}
	addr, stop, err := memcached.Start()
	switch {
	case err == nil:
		defer stop()
		config["memcached"] = backends.Settings{Backend: "memcached", Location: []string{addr}, Timeout: timeout}
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(os.Stderr, "peers: memcached is not installed: no tables of it")
	default:
		return err
	}
	if err := backends.Configure(config); err != nil {
		return err
	}

	answers, err := os.ReadFile(questions)
	if err != nil {
		return err
	}
	r := results{machine: report.Machine(), rounds: rounds, notes: notesTable(string(answers))}
	if addr != "" {
		if err := r.measureRemote(addr); err != nil {
			return err
		}
	}
	if remote {
		fmt.Print(r.remoteTable())
		return nil
	}
	if err := r.measureLocal(); err != nil {
		return err
	}
	if write != "" {
		if err := report.Write(write, "peers", r.short()); err != nil {
			return err
		}
	}
	if docs != "" {
		if err := report.Write(docs, "peers", r.long()); err != nil {
			return err
		}
	}
	if write == "" && docs == "" {
		fmt.Print(r.long())
	} else {
		fmt.Print(r.short())
	}
	return nil
}

// results are all that was measured.
type results struct {
	machine string
	rounds  int
	notes   string
	local   []table
	remote  []remoteRow
}

// A table has each peer for one value and one way of calling.
type table struct {
	value, way string
	ours       []string
	rows       []row
}

// A remoteRow is a pair, called by one goroutine and by many.
type remoteRow struct {
	remotePair
	alone, together row
}

// The values and ways, as tables call them.
const (
	small = "a small struct"
	large = "1 KiB with a slice"
	list  = "a list of 100 structs"

	hitAlone     = "a hit"
	hitTogether  = "a hit, in parallel"
	oneInHundred = "1 % misses, in parallel"
	missAlone    = "a miss"
)

func (r *results) measureLocal() error {
	return errors.Join(
		measureValue(r, small, loadPlace, way[place]{missAlone, miss[place]}),
		measureValue(r, large, loadPage),
		measureValue(r, list, loadPlaces))
}

// measureValue adds the tables of one value, in the ways that all are called in and in more.
func measureValue[V any](r *results, value string, fn load[V], more ...way[V]) error {
	all := append(ours[V](), peers[V]()...)
	warm := make([]load[V], len(all))
	for i, c := range all {
		var err error
		if warm[i], err = c.warm(fn); err != nil {
			return err
		}
	}
	ways := []way[V]{
		{hitAlone, hit[V]},
		{hitTogether, hits[V](runtime.GOMAXPROCS(0))},
		{oneInHundred, mixed[V]},
	}
	for _, w := range append(ways, more...) {
		fmt.Fprintf(os.Stderr, "peers: %s, %s\n", value, w.name)
		t := table{value: value, way: w.name}
		var mine []subject
		for i, c := range ours[V]() {
			t.ours = append(t.ours, c.name)
			mine = append(mine, subject{c.name, w.bench(warm[i])})
		}
		for i, c := range all[len(mine):] {
			t.rows = append(t.rows, compare(mine, subject{title(c.name), w.bench(warm[len(mine)+i])}, r.rounds))
		}
		r.local = append(r.local, t)
	}
	return nil
}

func (r *results) measureRemote(addr string) error {
	fmt.Fprintln(os.Stderr, "peers: on memcached")
	pairs, err := remotePairs(addr)
	for _, p := range pairs {
		pair := func(bench func(load[place]) benchmark) row {
			return compare([]subject{{p.ours, bench(p.mine)}}, subject{p.peer, bench(p.theirs)}, r.rounds)
		}
		r.remote = append(r.remote, remoteRow{p, pair(hit[place]), pair(hits[place](remoteGoroutines))})
	}
	return err
}
