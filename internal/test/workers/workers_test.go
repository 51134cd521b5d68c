package workers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestWorker is what the workers of the other tests do.
func TestWorker(t *testing.T) {
	var job string
	if !Job(&job) {
		t.Skip("this is for the processes that the other tests start")
	}
	switch job {
	case "sum":
		for n := []int(nil); Next(&n); {
			fmt.Println("a line that is not a reply")
			Reply(n[0] + n[1])
		}
	case "fail":
		t.Error("a failure")
	case "panic":
		fmt.Fprint(os.Stdout, "an unfinished line")
		panic("a crash")
	case "hang":
		Reply("hangs")
		select {}
	}
}

func start(t *testing.T, job string) *Worker {
	t.Helper()
	return Start(t, Pattern("TestWorker"), job)
}

func TestMessages(t *testing.T) {
	w, other := start(t, "sum"), start(t, "sum")
	for i := range 3 {
		w.Send([]int{i, 1})
		other.Send([]int{i, 2})
	}
	for i := range 3 {
		for summand, w := range map[int]*Worker{1: w, 2: other} {
			if got, err := Receive[int](w); got != i+summand || err != nil {
				t.Errorf("%d + %d: got %d, %v", i, summand, got, err)
			}
		}
	}
	if !strings.Contains(w.Output(), "a line that is not a reply") || strings.Contains(w.Output(), mark) {
		t.Errorf("the output is %q", w.Output())
	}
}

func TestFailures(t *testing.T) {
	for _, test := range []struct{ job, output string }{
		{"fail", "a failure"},
		{"panic", "panic: a crash"},
	} {
		t.Run(test.job, func(t *testing.T) {
			w := start(t, test.job)
			if _, err := Receive[string](w); err == nil || !strings.Contains(err.Error(), test.output) {
				t.Errorf("Receive: got %v, want an error with %q", err, test.output)
			}
			err := w.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(err.Error(), test.output) {
				t.Errorf("Wait: got %v, want an ExitError with %q", err, test.output)
			}
		})
	}
}

func TestKill(t *testing.T) {
	w := start(t, "hang")
	if got, err := Receive[string](w); got != "hangs" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	w.patience = 50 * time.Millisecond
	if _, err := Receive[string](w); !errors.Is(err, ErrTimeout) {
		t.Errorf("Receive: got %v, want ErrTimeout", err)
	}
	if err := w.Wait(); !errors.Is(err, ErrTimeout) {
		t.Errorf("Wait: got %v, want ErrTimeout", err)
	}
	w.Kill()
	if err := w.Wait(); err != nil {
		t.Errorf("Wait after Kill: %v", err)
	}
	if _, err := Receive[string](w); err == nil || errors.Is(err, ErrTimeout) {
		t.Errorf("Receive after Kill: got %v, want an error at once", err)
	}
}

// A worker whose test has ended ends, and what failed in it fails the test.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		job   string
		fails bool
	}{
		{"sum", false},
		{"fail", true},
	} {
		t.Run(test.job, func(t *testing.T) {
			o := &observed{TB: t}
			w := Start(o, Pattern("TestWorker"), test.job)
			o.cleanup()
			select {
			case <-w.Done():
			default:
				t.Error("the worker is there after the end of its test")
			}
			if failed := o.failure != nil; failed != test.fails {
				t.Errorf("the test fails: %v, want %v: %v", failed, test.fails, o.failure)
			}
		})
	}
}

// An observed test keeps its cleanup and its failure for the test of this package.
type observed struct {
	testing.TB
	cleanup func()
	failure []any
}

func (o *observed) Cleanup(f func())  { o.cleanup = f }
func (o *observed) Error(args ...any) { o.failure = args }

var changed bool

func TestAlone(t *testing.T) {
	if Alone(t) {
		changed = true
		return
	}
	if changed {
		t.Error("the test went on in this process")
	}
}

func TestPattern(t *testing.T) {
	if got, want := Pattern("TestA/a+b"), `^TestA$/^a\+b$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
