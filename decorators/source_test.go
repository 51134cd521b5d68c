package decorators_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// A source is what the cached function reads from. It is slow, and counts.
type source struct {
	t    *testing.T
	addr string

	mu    sync.Mutex
	takes time.Duration
	fails bool
	runs  []sourceRun
	now   int // runs under way
	most  int
}

// A sourceRun is one computation, by the source's clock.
type sourceRun struct{ begin, end time.Time }

func newSource(t *testing.T, takes time.Duration) *source {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &source{t: t, addr: l.Addr().String(), takes: takes}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// serve answers with the number of the run, from 1, after the time that it takes. A run of a
// process that has been killed ends when that is.
func (s *source) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	run, begin, takes, fails := len(s.runs)+1, time.Now(), s.takes, s.fails
	s.runs = append(s.runs, sourceRun{begin: begin})
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()

	conn.SetReadDeadline(begin.Add(takes))
	conn.Read(make([]byte, 1))

	s.mu.Lock()
	s.now--
	s.runs[run-1].end = time.Now()
	s.mu.Unlock()
	if fails {
		run = 0
	}
	fmt.Fprintln(conn, run)
}

// askSource is what the cached function does in the workers.
func askSource(addr string) (run int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := fmt.Fscan(bufio.NewReader(conn), &run); err != nil {
		return 0, err
	}
	if run == 0 {
		return 0, errors.New("the source failed")
	}
	return run, nil
}

func (s *source) set(takes time.Duration, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes, s.fails = takes, fails
}

// seen returns the runs so far and how many there were at once.
func (s *source) seen() (runs []sourceRun, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.runs), s.most
}

// awaitRun returns run n, from 1, once it has begun.
func (s *source) awaitRun(n int) sourceRun {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("run %d", n), func() bool { runs, _ := s.seen(); return len(runs) >= n })
	runs, _ := s.seen()
	return runs[n-1]
}

// check asserts what law 4 says of the runs: one at a time, and none before the result of the
// one before has expired.
func (s *source) check(timeout time.Duration) {
	s.t.Helper()
	runs, most := s.seen()
	if most > 1 {
		s.t.Errorf("%d computations at once", most)
	}
	for i := 1; i < len(runs); i++ {
		if gap := runs[i].begin.Sub(runs[i-1].end); gap < timeout-tick {
			s.t.Errorf("run %d began %v after the end of run %d, whose result is fresh for %v", i+1, gap, i, timeout)
		}
	}
}
