// Package bench compares the module with others that do the same. It is a module of its own, so
// that users of cacheutils don't download its peers.
package bench
