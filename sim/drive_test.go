package sim

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Many histories are run by several processes, one for each processor, which use one processor each: what a history does
// one step after the other goes faster so. They are this program again, which runs TestWorker.
//
//	driver   writes the first seed and the number of a block of seeds, as JSON on one line
//	worker   writes a dot for each of the block's seeds, and then a line with its report as JSON
//	driver   writes the next block, or closes the worker's input
//
// A worker that ends otherwise has died in the seed to which the dots lead.

var (
	workersFlag = flag.Int("sim.workers", 0, "how many processes run histories at once; 0: one for each processor")
	workerFlag  = flag.Bool("sim.worker", false, "have TestWorker run what it reads from standard input")
)

const (
	mostInBlock   = 100
	progressAfter = 100_000 // histories, each time
)

// A block is a range of seeds.
type block struct {
	First, Seeds uint64
	On           string // which backend its histories are on; others are left out; empty: any
}

// A report is what blocks came to.
type report struct {
	Histories, Steps int
	Traces           sum64          // of all, whichever came first: that of two runs of the same seeds is the same
	Met              map[string]int // how often which operation, event, fate and fault was
	Bad              []finding      // in the order of their seeds
}

// A finding is a history that breaks a law.
type finding struct {
	Seed uint64
	What string // it breaks
	Died bool   // it has ended the worker
}

func (r *report) add(other *report) {
	r.Histories += other.Histories
	r.Steps += other.Steps
	r.Traces += other.Traces
	if r.Met == nil {
		r.Met = make(map[string]int)
	}
	for what, n := range other.Met {
		r.Met[what] += n
	}
	r.Bad = append(r.Bad, other.Bad...)
	slices.SortFunc(r.Bad, func(a, b finding) int { return cmp.Compare(a.Seed, b.Seed) })
}

// history adds one.
func (r *report) history(seed uint64, res *result) {
	one := report{Histories: 1, Steps: res.steps, Traces: res.trace.sum.number(seed), Met: res.met}
	one.Met["histories on "+res.history.plan.config.backend]++
	if len(res.broken) > 0 {
		one.Bad = []finding{{Seed: seed, What: res.broken[0]}}
	}
	r.add(&one)
}

// TestWorker runs blocks for a driver.
func TestWorker(t *testing.T) {
	if !*workerFlag {
		t.Skip("a driver runs it")
	}
	in := json.NewDecoder(os.Stdin)
	for {
		var b block
		if err := in.Decode(&b); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var r report
		for seed := b.First; seed < b.First+b.Seeds; seed++ {
			os.Stdout.WriteString(".")
			if p := planFor(seed); b.On == "" || p.config.backend == b.On {
				r.history(seed, run(t, p, false))
			}
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\n%s\n", line)
	}
}

// A driver has workers run histories.
type driver struct {
	binary    string // the program that the workers are; empty: this one
	from      uint64
	histories int // that it runs
	on        string
	goesOn    bool // though a history has broken a law, unless that was the end of a worker
	workers   int  // 0: as -sim.workers says

	mu   sync.Mutex
	next uint64 // seed
	left int    // histories that are in no block
	run  report
	used time.Duration // of processors, by workers that have ended
	err  error
}

// drive runs histories, and reports them: that many, and none that begins after one has broken a law, unless it goes on.
// progress is called now and then.
func (d *driver) drive(progress func(*report)) (*report, error) {
	if d.binary == "" {
		d.binary = os.Args[0]
	}
	workers := cmp.Or(d.workers, *workersFlag, runtime.GOMAXPROCS(0))
	d.next, d.left = d.from, d.histories
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			if err := d.employ(progress); err != nil {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.err = err
			}
		})
	}
	all.Wait()
	return &d.run, d.err
}

// block returns the next block, if there is one.
func (d *driver) block() (b block, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b = block{First: d.next, Seeds: min(mostInBlock, uint64(max(d.left, 0))), On: d.on}
	if d.on != "" && d.left > 0 {
		b.Seeds = mostInBlock // of which some are left out
	}
	hasDied := func(f finding) bool { return f.Died }
	if b.Seeds == 0 || d.err != nil || len(d.run.Bad) > 0 && !d.goesOn || slices.ContainsFunc(d.run.Bad, hasDied) {
		return b, false
	}
	d.next += b.Seeds
	if d.on == "" {
		d.left -= int(b.Seeds)
	}
	return b, true
}

// done takes the report of a block.
func (d *driver) done(r *report, progress func(*report)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	had := d.run.Histories
	d.run.add(r)
	if d.on != "" {
		d.left -= r.Histories
	}
	if progress != nil && had/progressAfter != d.run.Histories/progressAfter {
		progress(&d.run)
	}
}

// employ runs blocks on one worker, as long as there are some.
func (d *driver) employ(progress func(*report)) error {
	cmd := exec.Command(d.binary, "-test.run=^TestWorker$", "-test.timeout=0", "-sim.worker")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",adaptivestackstart=1", ","))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	b, read, failed := d.feed(in, lines, progress)
	in.Close()
	rest, _ := io.ReadAll(lines)
	ended := cmd.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if failed == nil && ended == nil {
		return nil
	}
	said := strings.TrimLeft(read, ".")
	begun := uint64(len(read) - len(said))
	said += string(rest) + complaints.String()
	if begun > 0 && (strings.Contains(said, "panic: ") || strings.Contains(said, "fatal error: ")) {
		d.run.add(&report{Bad: []finding{{Seed: b.First + begun - 1, What: said, Died: true}}})
		return nil
	}
	return fmt.Errorf("a worker has failed, at last in the block %+v: %w\n%s", b, cmp.Or(failed, ended), said)
}

// feed has a worker run blocks as long as there are some. If that fails, it returns the block, and what was read of its report.
func (d *driver) feed(in io.Writer, out *bufio.Reader, progress func(*report)) (b block, read string, err error) {
	for {
		b, ok := d.block()
		if !ok {
			return b, "", nil
		}
		if err := json.NewEncoder(in).Encode(b); err != nil {
			return b, "", err
		}
		dots, err := out.ReadString('\n')
		if err != nil {
			return b, dots, err
		}
		line, err := out.ReadBytes('\n')
		var r report
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			return b, dots + string(line), err
		}
		d.done(&r, progress)
	}
}

// table is how often what was.
func (r *report) table() string {
	var text strings.Builder
	for _, what := range slices.Sorted(maps.Keys(r.Met)) {
		fmt.Fprintf(&text, "%10d %s\n", r.Met[what], what)
	}
	return text.String()
}

// Histories are the same on one worker and on three, whatever ran before them in the same process.
func TestDriver(t *testing.T) {
	var reports []*report
	for _, workers := range []int{1, 3} {
		d := driver{from: 1, histories: 2*mostInBlock + 50, workers: workers}
		r, err := d.drive(nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Bad) > 0 {
			t.Errorf("seed %d: %s", r.Bad[0].Seed, r.Bad[0].What)
		}
		reports = append(reports, r)
	}
	one, three := reports[0], reports[1]
	if one.Histories != 2*mostInBlock+50 || one.Histories != three.Histories || one.Steps != three.Steps || one.Traces != three.Traces || one.table() != three.table() {
		t.Errorf("one worker has run %d histories, %d events, sum %x, and three %d histories, %d events, sum %x", one.Histories, one.Steps, one.Traces, three.Histories, three.Steps, three.Traces)
	}
}

// What a worker that does not go on says is a finding if it has panicked in a history, and otherwise an error.
func TestDriver_WorkerDies(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell for a worker of another kind")
	}
	for _, test := range []struct {
		name, script string
		seed         uint64 // found
		err          string
	}{
		{name: "panics in the third seed", script: "read x; printf ...; echo 'panic: boom' >&2; exit 2", seed: 12},
		{name: "races", script: "read x; echo ..; echo '{\"Histories\":2}'; read x; echo 'WARNING: DATA RACE' >&2; exit 66", err: "DATA RACE"},
		{name: "panics before the first seed", script: "read x; echo 'panic: boom' >&2; exit 2", err: "boom"},
		{name: "says nothing", script: "exit 0", err: "a worker has failed"},
		{name: "says what is no report", script: "read x; echo ..; echo ok; read x", err: "a worker has failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "worker")
			if err := os.WriteFile(binary, []byte("#!"+sh+"\n"+test.script+"\n"), 0o777); err != nil {
				t.Fatal(err)
			}
			d := driver{binary: binary, from: 10, histories: 2, workers: 1}
			if test.seed > 0 {
				d.histories = 1000
			}
			r, err := d.drive(nil)
			switch {
			case test.err == "" && (err != nil || len(r.Bad) != 1 || r.Bad[0].Seed != test.seed || !r.Bad[0].Died):
				t.Errorf("got %+v, %v; want a finding in seed %d", r, err, test.seed)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || len(r.Bad) > 0):
				t.Errorf("got %+v, %v; want an error with %q", r, err, test.err)
			}
		})
	}
}
