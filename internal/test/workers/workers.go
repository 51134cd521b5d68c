// Package workers starts the test binary again: as another process that shares a store with the
// test, that can be killed or crash, or that does what a process can't undo.
//
//	func TestSum(t *testing.T) {
//		if workers.Job(nil) {
//			for n := []int(nil); workers.Next(&n); {
//				workers.Reply(n[0] + n[1])
//			}
//			return
//		}
//		w := workers.Start(t, "^TestSum$", nil)
//		w.Send([]int{1, 2})
//		sum, err := workers.Receive[int](w)
//		...
//	}
//
// Messages are JSON values on lines of the worker's standard input and output. Other lines, which are
// the testing package's, are kept for the errors.
package workers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	variable = "CACHEUTILS_WORKER" // of the environment of a worker: its job
	mark     = "worker: "          // begins each line that is a reply

	patience = 5 * time.Minute  // a test waits no longer for one reply, or for the end
	grace    = 10 * time.Second // a worker has that long to end by itself when its test has ended
)

// ErrTimeout is matched by the errors of waits that have taken too long.
var ErrTimeout = errors.New("workers: timeout")

// A Worker is a process that a test has started. At the end of the test there are no more messages
// for it, which is when it has to end, if it hasn't before. One that fails, with a race say, fails the
// test, unless that has learned of it from Wait or has killed it.
// A Worker's methods are for one goroutine, except Kill, Done and Output.
type Worker struct {
	t        testing.TB
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	patience time.Duration

	mu      sync.Mutex
	replies [][]byte // which the test has not received yet
	output  bytes.Buffer
	partial []byte // a line of the standard output without its end
	killed  bool

	more   chan struct{} // has a value if there may be new replies
	done   chan struct{} // closed when the process has ended, after all its output has been read
	err    error         // how it has ended; to be read when done is closed
	waited bool          // the test knows err
}

// Start starts a process that runs the tests that match pattern, as with go test -run, and in which
// Job returns true and the job.
func Start(t testing.TB, pattern string, job any) *Worker {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatalf("workers: the job: %v", err)
	}
	w := &Worker{t: t, patience: patience, more: make(chan struct{}, 1), done: make(chan struct{})}
	w.cmd = exec.Command(os.Args[0], "-test.run="+pattern, "-test.count=1")
	if limit, ok := untilDeadline(t); ok {
		w.cmd.Args = append(w.cmd.Args, "-test.timeout="+limit.String())
	}
	w.cmd.Env = append(os.Environ(), variable+"="+string(text), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	w.cmd.Stdout, w.cmd.Stderr = (*stdout)(w), (*stderr)(w)
	w.cmd.WaitDelay = grace
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		t.Fatalf("workers: %v", err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatalf("workers: %v", err)
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.done)
	}()
	t.Cleanup(w.end)
	return w
}

// untilDeadline returns the time that the test has left, less what it takes to report a failure.
func untilDeadline(t testing.TB) (time.Duration, bool) {
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return 0, false
	}
	deadline, ok := d.Deadline()
	return max(time.Until(deadline)-grace, time.Second), ok
}

// end ends the process with the test.
func (w *Worker) end() {
	w.stdin.Close()
	if w.t.Failed() {
		w.Kill()
	}
	select {
	case <-w.done:
	case <-time.After(grace):
		w.Kill()
		<-w.done
		w.t.Errorf("workers: a worker didn't end within %v of its test\n%s", grace, w.Output())
	}
	if err := w.failure(); err != nil && !w.waited {
		w.t.Error(err)
	}
}

// Send sends the worker a message, which Next returns there. It ends the test if it can't.
func (w *Worker) Send(message any) {
	w.t.Helper()
	line, err := json.Marshal(message)
	if err != nil {
		w.t.Fatalf("workers: send: %v", err)
	}
	if _, err := w.stdin.Write(append(line, '\n')); err != nil {
		w.t.Fatalf("workers: send: %v\n%s", err, w.Output())
	}
}

// Receive waits for a reply, which is the first that has not been received yet. It returns an error
// if the worker ends without one, if the test does, or after five minutes.
func Receive[T any](w *Worker) (message T, err error) {
	line, err := w.receive()
	if err == nil {
		err = json.Unmarshal(line, &message)
	}
	if err != nil {
		err = fmt.Errorf("workers: no reply: %w\n%s", err, w.Output())
	}
	return message, err
}

func (w *Worker) receive() ([]byte, error) {
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	for {
		if line := w.take(); line != nil {
			return line, nil
		}
		select {
		case <-w.more:
		case <-w.done:
			if line := w.take(); line != nil {
				return line, nil
			}
			return nil, errors.Join(errors.New("the worker has ended"), w.err)
		case <-w.t.Context().Done():
			return nil, w.t.Context().Err()
		case <-timer.C:
			return nil, ErrTimeout
		}
	}
}

// take returns the first reply, or nil if there is none.
func (w *Worker) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.replies) == 0 {
		return nil
	}
	line := w.replies[0]
	w.replies = w.replies[1:]
	return line
}

// Wait waits until the worker has ended by itself. The error wraps an *exec.ExitError if a test failed
// there or the process crashed, and has what the worker has printed. It is nil if Kill ended the
// process. A wait ends with the test too, and after five minutes.
func (w *Worker) Wait() error {
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	select {
	case <-w.done:
		w.waited = true
		return w.failure()
	case <-w.t.Context().Done():
		return w.t.Context().Err()
	case <-timer.C:
		return fmt.Errorf("%w: the worker doesn't end\n%s", ErrTimeout, w.Output())
	}
}

// failure returns how a process that has ended has failed.
func (w *Worker) failure() error {
	w.mu.Lock()
	killed := w.killed
	w.mu.Unlock()
	if w.err == nil || killed {
		return nil
	}
	return fmt.Errorf("workers: a worker failed: %w\n%s", w.err, w.Output())
}

// Kill kills the process and returns when that has ended.
func (w *Worker) Kill() {
	w.mu.Lock()
	w.killed = true
	w.mu.Unlock()
	w.cmd.Process.Kill() // an error says that it has ended
	<-w.done
}

// Done returns a channel that is closed when the process has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Output returns what the worker has printed so far, to both outputs, without the replies.
func (w *Worker) Output() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.String() + string(w.partial)
}

type (
	stdout Worker // takes what the process prints
	stderr Worker
)

// Write takes the lines that are replies for Receive, and the others for Output.
func (w *stdout) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	for {
		line, rest, whole := bytes.Cut(w.partial, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if reply, ok := bytes.CutPrefix(line, []byte(mark)); ok {
			w.replies = append(w.replies, bytes.Clone(reply))
			select {
			case w.more <- struct{}{}:
			default:
			}
		} else {
			w.output.Write(line)
			w.output.WriteByte('\n')
		}
		w.partial = rest
	}
}

func (w *stderr) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.Write(p)
}

// Alone runs the test once more in a process of its own, for what a process can do only once or
// can't undo, and fails the test if it fails there. It reports whether this is that process, in which
// the test goes on.
func Alone(t *testing.T) bool {
	t.Helper()
	if Job(nil) {
		Reply(t.Name())
		return true
	}
	w := Start(t, Pattern(t.Name()), nil)
	if err := w.Wait(); err != nil {
		t.Error(err)
	} else if ran, err := Receive[string](w); ran != t.Name() {
		t.Errorf("the process ran the test %q, want %q: %v", ran, t.Name(), err)
	}
	return false
}

// Pattern returns what Start needs to run the test of that name.
func Pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}
