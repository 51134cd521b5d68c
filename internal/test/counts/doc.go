// Package counts has the tests of what is counted of a decorated function's calls: each call once, whatever befalls it.
// There is no code in it.
package counts
