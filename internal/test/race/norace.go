//go:build !race

// Package race says whether tests run with the race detector, which takes memory of its own, and many times as long for
// work in one goroutine, where it has nothing to find. What is left out then runs with make cover.
package race

// Enabled reports whether the tests run with the race detector.
const Enabled = false
