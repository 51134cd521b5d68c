// Package memcached starts a memcached for commands, which have no testing.TB.
package memcached

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

// Start starts a server on a free port of 127.0.0.1, with further arguments to memcached. Where
// the program isn't installed the error is exec.ErrNotFound.
func Start(args ...string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	args = append([]string{"-l", "127.0.0.1", "-p", port, "-U", "0"}, args...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	cmd := exec.Command("memcached", args...)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for range 500 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("memcached on %s doesn't answer", addr)
}
