//go:build unix

package memcachedtest

import (
	"syscall"
	"time"
)

// Pause makes the server hang, and returns when it does: connections are accepted and
// nothing is answered.
func (s *Server) Pause() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
	// The signal takes a while to reach every thread; then the parent is told.
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
		if err != nil && err != syscall.EINTR {
			s.tb.Fatalf("memcachedtest: pause the server on %s: %v", s.addr, err)
		}
		if pid > 0 && status.Stopped() {
			return
		}
	}
	s.tb.Fatalf("memcachedtest: the server on %s doesn't stop", s.addr)
}

// Resume ends a Pause.
func (s *Server) Resume() {
	s.tb.Helper()
	s.signal(syscall.SIGCONT)
}

func (s *Server) signal(signal syscall.Signal) {
	s.tb.Helper()
	if s.process == nil {
		s.tb.Fatalf("memcachedtest: %v: the server on %s is stopped", signal, s.addr)
	}
	if err := s.process.Process.Signal(signal); err != nil {
		s.tb.Fatalf("memcachedtest: %v to the server on %s: %v", signal, s.addr, err)
	}
}
