// Package stress tries to get an old value out of the cache: several processes read, invalidate,
// force and set at random on one server, and checkers look through the history of all they
// did. It is a module of its own, so that users of cacheutils don't download the checker.
//
//	go test ./...                                             some seconds
//	go test -run Stress -stress.ops=1000000 -timeout 60m -v   the long form
package stress
