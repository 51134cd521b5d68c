//go:build !plan9

package memcached

import "syscall"

// The numbers of errors that a connection has when the other side closed it, and those of a dial for
// which this process, or its machine, lacks something.
var (
	closedErrnos  = []error{syscall.ECONNRESET, syscall.EPIPE}
	lackingErrnos = []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS}
)
