// Package cacheutils has the error values and constants that the packages of this module share, and this
// overview of the module: a decorated Go function keeps its results in a cache, under keys that a person can
// read, with exact invalidation.
//
// # Decorating
//
// decorators.Cached takes a function of any signature that has a result. It returns a function
// of the same type, and a handle on what is cached:
//
//	func loadCity(ctx context.Context, id int, lang string) (City, error) {
//		return City{ID: id, Name: "Roma"}, nil // or a database query
//	}
//
//	var LoadCity, cities = decorators.Cached(loadCity, decorators.Key("city"), decorators.Timeout(time.Hour))
//
// LoadCity is called as loadCity was. Equal arguments get the result of one computation, until its hour is over
// or it is invalidated:
//
//	city, err := LoadCity(ctx, 42, "it")           // computes
//	city, err = LoadCity(ctx, 42, "it")            // from the cache
//	err = cities.Invalidate(ctx, 42, "it")         // that result is gone
//	city, err = cities.ForceRecalc(ctx, 42, "it")  // computes, whatever is cached
//	city, err = cities.RequireCache(ctx, 42, "it") // from the cache, or ErrNoCachedValue
//	key, err := cities.CacheKey(ctx, 42, "it")     // [cached]city((42,'it'))
//
// An error is returned and not cached, unless decorators.CacheErrors names it. Callers that want the same result at the same time share one
// computation, in all processes that use the same server. A cache that is down, slow or full changes no result:
// the call computes. Invalidate, which can't do its work then, returns the error.
//
// Cached0 to Cached3 do the same without reflection, for functions of a context and that many
// arguments. CachedMany is for functions of many keys at once, of which each is cached by itself.
//
// cacheutils.Refresh and cacheutils.Bypass steer all cached functions under a context, for one request: they compute
// whatever is cached, or have nothing to do with the cache.
//
// # Groups
//
// decorators.Group puts results into groups, and one call drops what is in a group, in all
// processes:
//
//	err := cache.InvalidateGroup(ctx, "cities")
//
// Once that, or Invalidate, has returned nil, no call that starts later gets a result whose computation began
// before. Both are carried out though their context has been cancelled, as that of a request may be after a
// commit. decorators.Stale lets results be served past their timeout, while they are recomputed in the
// background.
//
// # Configuring
//
// Without configuration results are kept in the memory of the process. Other backends are
// configured by name, in one call, before or after functions are decorated:
//
//	err := backends.Configure(backends.Config{
//		"default":  {Backend: "memcached", Location: []string{"10.0.0.1:11211", "10.0.0.2:11211"}},
//		"sessions": {Backend: "locmem", Timeout: time.Hour},
//	})
//
// Functions use the new backends from then on. Those that they replace are closed: a *backends.Cache that a
// caller has kept returns ErrClosed.
//
// decorators.Backend says which of them a function uses, if not "default". The engines are
// "locmem", "memcached", "group", which is memcached with results that are served for a
// while past their timeout, and "dummy", which stores nothing; backends.Register adds others.
//
// # Values
//
// What a caller gets is its own: changing it changes neither the cache nor what others get. So results are
// encoded, and types that can't be encoded exactly are refused by decorators.Cached, with the name of the
// field. A type can be encoded if its fields are exported, all the way down, or if it has a binary, gob or text
// marshaler of its own, as time.Time, *big.Int and *url.URL do. Functions, channels and interfaces with methods
// can't be. Once a type is changed, what was stored of it before is a miss.
//
// # More
//
//   - package decorators: what a call does, step by step, and the options
//   - package cache: values under keys of any type, without a function
//   - package cachekey: how arguments are written in keys
//   - package backends: configuration, and the operations of Django's low-level cache API
//   - package cachetest: sets of backends for tests
//   - package logging: the log, and how to send it elsewhere
//   - examples/quickstart: a program that shows all of this at work
package cacheutils
