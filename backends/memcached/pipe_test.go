//go:build linux || darwin

package memcached

import "syscall"

// makePipe makes a file that nobody can read until somebody writes it.
func makePipe(path string) error { return syscall.Mkfifo(path, 0o600) }
