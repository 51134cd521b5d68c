//go:build !unix

package memcachedtest

// Pause skips the test: there are no signals that stop a process.
func (s *Server) Pause() {
	s.tb.Helper()
	s.tb.Skip("memcachedtest: a server can't be paused on this system")
}

// Resume does nothing: no server is paused.
func (s *Server) Resume() {}
