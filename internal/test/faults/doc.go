// Package faults has the tests of what callers see of a server that fails: nothing but, for a
// while, the time that their functions take. There is no code in it.
//
//	go test ./... -run Fault    in less than a minute, with -race too
//	make soak                   the long form, with every time held to its figure
//
// Each test is a fault between this process and real servers, made by internal/test/faultproxy or
// done to the servers themselves. Its doc comment has the figures to meet, and it logs lines of
//
//	figure: what | wanted ... | measured ... | raw gomemcache ...
//
// where the last one is what gomemcache by itself does in the same place.
//
// Counts are asserted as they are. A time that follows from a timeout is asserted at its figure in the long
// form (CACHEUTILS_LONG=1) and where it holds on a busy machine under the race detector; elsewhere the normal
// form allows ten times as much, which still distinguishes a caller that waits for a timeout from one that
// doesn't. Any other time is held to a multiple of what something plain takes in the same run, mostly a Get of
// gomemcache; the normal form allows ten times as many. A test that has met no fault, or has nothing to count,
// fails.
package faults
