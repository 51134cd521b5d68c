// Package memcachedtest starts real memcached servers for tests.
//
//	server := memcachedtest.Start(t)
//	client := memcache.New(server.Addr())
//
// A test can stop a server, pause it, and start it again at the same address. Where the
// program isn't installed the test is skipped, unless CACHEUTILS_REQUIRE_SERVERS=1 says that
// it has to be there.
package memcachedtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// deadline bounds every wait for a server.
const deadline = 10 * time.Second

// A Server is a memcached that runs until the test ends. Its methods are for the goroutine
// of the test.
type Server struct {
	tb      testing.TB
	program string
	args    []string // besides the address
	network string
	addr    string
	tls     *tls.Config // nil: without TLS
	process *exec.Cmd   // nil while stopped
	output  *bytes.Buffer
}

// Start starts a server on a free port of 127.0.0.1, with further arguments to memcached,
// such as "-I", "512k". After "-Y" stands the path of a file with users and passwords.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, program: program(tb), args: args, network: "tcp"}
	// The port was free a moment ago; if another process has taken it since, try the next.
	var err error
	for range 5 {
		s.addr = freePort(tb)
		if err = s.start(); err == nil {
			return s
		}
	}
	tb.Fatalf("memcachedtest: %v", err)
	return nil
}

// StartTogether starts a server at each of the hosts, such as 127.0.0.1 and 127.0.0.2, all at the same port.
func StartTogether(tb testing.TB, hosts ...string) []*Server {
	tb.Helper()
	program := program(tb)
	var err error
	for range 5 {
		_, port, _ := net.SplitHostPort(freePort(tb))
		var all []*Server
		for _, host := range hosts {
			s := &Server{tb: tb, program: program, network: "tcp", addr: net.JoinHostPort(host, port)}
			if err = s.start(); err != nil {
				break
			}
			all = append(all, s)
		}
		if err == nil {
			return all
		}
		for _, s := range all {
			s.Stop()
		}
	}
	tb.Fatalf("memcachedtest: %v", err)
	return nil
}

// StartTLS starts a server that speaks TLS, with a new certificate for 127.0.0.1. ca is the path of a
// PEM file with what the certificate can be checked with.
func StartTLS(tb testing.TB, args ...string) (s *Server, ca string) {
	tb.Helper()
	cert, key := Certificate(tb)
	args = append([]string{"-Z", "-o", "ssl_chain_cert=" + cert + ",ssl_key=" + key}, args...)
	s = &Server{tb: tb, program: program(tb), args: args, network: "tcp", addr: freePort(tb)}
	s.tls = &tls.Config{InsecureSkipVerify: true}
	if err := s.start(); err != nil {
		if strings.Contains(err.Error(), "does not support TLS") {
			tb.Skip("memcachedtest: this memcached was built without TLS")
		}
		tb.Fatalf("memcachedtest: %v", err)
	}
	return s, cert
}

// StartUnix starts a server on a unix socket, whose path is its Addr.
func StartUnix(tb testing.TB, args ...string) *Server {
	tb.Helper()
	// The path of a socket is short, shorter than some of tb.TempDir's.
	dir, err := os.MkdirTemp("", "mc")
	if err != nil {
		tb.Fatalf("memcachedtest: %v", err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{tb: tb, program: program(tb), args: args, network: "unix", addr: filepath.Join(dir, "sock")}
	if err := s.start(); err != nil {
		tb.Fatalf("memcachedtest: %v", err)
	}
	return s
}

func program(tb testing.TB) string {
	tb.Helper()
	path, err := exec.LookPath("memcached")
	if err == nil {
		return path
	}
	if os.Getenv("CACHEUTILS_REQUIRE_SERVERS") == "1" {
		tb.Fatal("memcachedtest: memcached is not installed, and CACHEUTILS_REQUIRE_SERVERS=1 requires it")
	}
	tb.Skip("memcachedtest: memcached is not installed")
	return ""
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("memcachedtest: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Addr returns the server's address: host:port, or the path of its socket.
func (s *Server) Addr() string { return s.addr }

// Stop kills the server, as kill -9 does, and returns when it is gone. A server that is
// stopped already stays so.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Errorf("memcachedtest: kill the server on %s: %v", s.addr, err)
	}
	s.process.Wait()
	s.process = nil
}

// RestartWith is Restart with other further arguments to memcached.
func (s *Server) RestartWith(args ...string) {
	s.tb.Helper()
	s.args = args
	s.Restart()
}

// Restart stops the server and starts it again, empty, at the same address.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.tb.Fatalf("memcachedtest: %v", err)
	}
}

// Stats returns what the server says of itself, by memcached's names: curr_connections,
// cmd_get and so on. It asks over a connection of its own, which is counted.
func (s *Server) Stats(tb testing.TB) map[string]string {
	tb.Helper()
	lines, err := s.ask("stats")
	if err != nil {
		tb.Fatalf("memcachedtest: stats: %v", err)
	}
	stats := make(map[string]string, len(lines))
	for _, line := range lines {
		if fields := strings.SplitN(line, " ", 3); len(fields) == 3 && fields[0] == "STAT" {
			stats[fields[1]] = fields[2]
		}
	}
	return stats
}

// Flush empties the server.
func (s *Server) Flush(tb testing.TB) {
	tb.Helper()
	if _, err := s.ask("flush_all"); err != nil {
		tb.Fatalf("memcachedtest: flush: %v", err)
	}
}

func (s *Server) start() error {
	host, port, _ := net.SplitHostPort(s.addr)
	args := []string{"-l", host, "-p", port, "-U", "0"}
	if s.network == "unix" {
		os.Remove(s.addr) // a killed server leaves it behind
		args = []string{"-s", s.addr}
	}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	output := new(bytes.Buffer)
	process := exec.Command(s.program, append(args, s.args...)...)
	process.Stderr = output
	if err := process.Start(); err != nil {
		return err
	}
	s.process, s.output = process, output
	if err := s.await(); err != nil {
		s.Stop()
		return fmt.Errorf("memcached %s: %w; it says %q", strings.Join(process.Args[1:], " "), err, output)
	}
	s.tb.Cleanup(s.Stop)
	return nil
}

// await returns when the server that was just started answers, and not one that another
// test has at the same port.
func (s *Server) await() error {
	pid := fmt.Sprint("STAT pid ", s.process.Process.Pid)
	var err error
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		var lines []string
		if lines, err = s.ask("stats"); err != nil {
			continue
		}
		for _, line := range lines {
			if line == pid {
				return nil
			}
		}
		return errors.New("another server answers at its address")
	}
	return fmt.Errorf("no answer in %v: %w", deadline, err)
}

// ask sends one command and returns the lines of the answer up to its last one.
func (s *Server) ask(command string) ([]string, error) {
	nc, err := net.DialTimeout(s.network, s.addr, deadline)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(deadline))
	if s.tls != nil {
		nc = tls.Client(nc, s.tls)
	}
	in := bufio.NewScanner(nc)
	if err := s.logIn(nc, in); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(nc, "%s\r\n", command); err != nil {
		return nil, err
	}
	var lines []string
	for {
		if !in.Scan() {
			return nil, fmt.Errorf("the connection ended within the answer to %s: %v", command, in.Err())
		}
		switch line := in.Text(); line {
		case "END", "OK", "ERROR":
			return lines, nil
		default:
			lines = append(lines, line)
		}
	}
}

// logIn logs in to a server that was started with -Y and the path of a file, whose first line is a user and a password.
func (s *Server) logIn(nc net.Conn, in *bufio.Scanner) error {
	i := slices.Index(s.args, "-Y")
	if i < 0 {
		return nil
	}
	file, err := os.ReadFile(s.args[i+1])
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(file), "\n")
	login := strings.Replace(first, ":", " ", 1)
	if _, err := fmt.Fprintf(nc, "set login 0 0 %d\r\n%s\r\n", len(login), login); err != nil {
		return err
	}
	if !in.Scan() || in.Text() != "STORED" {
		return fmt.Errorf("the server refuses the login: %q, %v", in.Text(), in.Err())
	}
	return nil
}
