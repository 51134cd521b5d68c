// Package sim runs the whole library in a simulated world, of which one seed decides everything: several processes with
// backends of their own, the store that they share, the network between them, callers, time and faults. Each history is
// checked against the laws that the library promises, and one that breaks a law is a number that anybody can run again.
//
// It has only tests. docs/simulation.md says how to run them, how to read a trace, and how to add to them.
package sim
