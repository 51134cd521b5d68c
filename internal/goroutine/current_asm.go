//go:build gc && (amd64 || arm64) && !purego

package goroutine

// current is the address of the runtime's record of this goroutine. Only its value is
// used, never what it points at, so that nothing depends on the record's layout.
func current() uintptr
