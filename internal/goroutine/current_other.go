//go:build !gc || !(amd64 || arm64) || purego

package goroutine

import (
	"bytes"
	"runtime"
	"strconv"
)

// current is the number in the first line of the goroutine's stack trace:
// "goroutine 18 [running]:".
func current() uintptr {
	var buf [48]byte
	line := buf[:runtime.Stack(buf[:], false)]
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		panic("goroutine: a stack trace without a goroutine number")
	}
	id, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		panic("goroutine: a stack trace without a goroutine number")
	}
	return uintptr(id)
}
