// Package decorators caches the results of functions.
//
//	var LoadCity, loadCity = decorators.Cached(queryCity, decorators.Timeout(time.Hour))
//
//	city, err := LoadCity(ctx, 42, "it")     // runs queryCity, or not
//	err = loadCity.Invalidate(ctx, 42, "it") // after a change
//
// [Cached] takes a function of any signature and returns one of the same type, so that call sites do not
// change, and a [Handle]: to invalidate what is cached for some arguments, to recompute, require or set it, and
// to see keys and counts. The options say for how long results are kept and on which backend, what the function
// is called in keys, and how its arguments are written there.
//
// [Cached0] to [Cached3] are for functions of a context and up to three arguments that return a
// result and an error. They do the same without reflection. [CachedMany] is for a function that has
// results for many keys at once, each of which is cached by itself.
//
// What a call does, and what it promises, is in the doc of Cached. Backends are configured in
// package backends, keys are described in package cachekey, and package logging shows what
// was found and stored.
package decorators
