// Package stress tries to get an outdated value from the cache: several processes read, invalidate, force and
// set at random on one server, and checkers search the history of what they did. It is a module of its own, so
// that users of cacheutils don't download the checker.
//
//	go test ./...                                             some seconds
//	go test -run Stress -stress.ops=1000000 -timeout 60m -v   the long form
//
// TestStress_Attacker does so while somebody else writes to the server, who knows the library: garbage, what was stored
// before, leases and groups of its own. That may not stop a process or a call; with a secret no value may be wrong, and
// none outdated that the attacker has not put back.
//
// # How a history is cut
//
// One of the checkers is porcupine, which searches for an order of the operations that explains what they
// returned. How long that takes grows with the number of operations that overlap, so it gets the history of
// each entry in segments. A segment ends where a write begins while no other operation on the entry is pending.
// Such moments are frequent, and the workload makes sure of them: the clients of all processes wait for each
// other after every 20 operations each.
//
// A cut loses nothing. All operations before it have returned before those after it are called,
// so that an order of the whole is an order of the first segment and then one of the second. The
// second starts in a state in which the first may end:
//
//   - the floor, the oldest value that may be read, is the strongest promise before the cut, in
//     every order;
//   - the value that was set last is one of those that are set in the first segment, since that
//     begins with a write. It makes a difference only if the second segment reads it below the
//     floor. Then porcupine reports whether the first segment has an order after which the
//     value may be read, and the second is checked from each state that is possible.
//
// A Set that returned an error may happen at any later time, so it is pending at every cut. It belongs
// to each segment that reads its value. That may explain reads in two segments, though it happened
// once: the one thing that a cut makes weaker.
//
// Before that, three things make reads shorter and fewer, and lose nothing either:
//
//   - a read of a value that was computed begins and ends at its call: the floor only rises, so where
//     that value may be read, it may be read at any earlier moment, too;
//   - so does a read of a value that was set, if no write that was called before the read promises
//     more: the value may be read then in any order;
//   - a read during which another one of the same value began and ended is left out: where the other
//     one may be, it may be, too.
//
// TestCheckers_Cuts compares all of this with porcupine's answer for whole histories.
package stress
