// Package backends configures and provides a program's caches by name, as Django's CACHES.
//
//	err := backends.Configure(backends.Config{
//		"default":  {Backend: "memcached", Location: []string{"10.0.0.1", "10.0.0.2"}, KeyPrefix: "shop"},
//		"sessions": {Backend: "locmem", Timeout: 20 * time.Minute},
//	})
//	c, err := backends.Get("sessions")
//	err = c.Set(ctx, "user:1", user)
//
// Without a Configure there is a "default" in this process's memory. A [Config] can also be read from JSON with
// Django's names, by [ParseJSON], and [Settings] from a URL, by [ParseURL]. The engines are locmem, memcached and dummy, and
// what [Register] adds; their options are in their packages. "group" is memcached, and "group+locmem" locmem,
// with values that are served for 30 seconds past their timeout while they are recomputed in the background.
// These options hold for all of them. Times are a time.Duration, or text such as "250ms"; a number without a
// unit is an error.
//
//	operation_timeout  how long an operation may take, and each step of what a decorated call does with
//	                   the store: the lookup, taking the lease, storing the result (250ms; from 1ms to
//	                   1m). A store in this process's memory takes no time
//	compress_above     the size in bytes above which encoded values are compressed (1024; -1 never)
//	max_decoded_size   the memory in bytes that an encoded value may take when it is read, with what it
//	                   was compressed from (64 MiB). Others may have written it: what would take more
//	                   is a miss, and isn't stored either. What the allocator rounds up, a third at
//	                   most, and what the types' own unmarshalers take comes on top. What a user's
//	                   codec takes is what its Memory says
//	stale              how long decorated functions' results are served past their timeout, unless
//	                   the function says (0; 30 seconds for group; otherwise 1ms or more)
//	lease              how long, and a second more, others wait for the computation of a process that
//	                   has died; how long a computation goes on that all callers have left, since
//	                   their deadlines had passed; and how long after that it is given up (5 seconds;
//	                   from 100ms to 24h)
//	secret             what is stored outside of this process is encrypted with it, and nothing else is
//	                   taken for stored: a string or []byte of 16 bytes or more, or a list of up to 8,
//	                   of which the first encrypts and all decrypt (none). Not in a URL
//	secret_env         the name of an environment variable that has the secret, or several separated
//	                   by commas
//	key_secret         a secret for what stands for arguments in keys (the only secret; none without one).
//	                   With several secrets it has to be given. It has key_secret_env
//	open_groups        with a secret, whether the keys of groups are not encrypted, so that a Django
//	                   project with django-cache-utils shares them (false)
//	group_prefix       stands before the names of groups, so that another backend of the store invalidates
//	                   none of these (none): up to 64 printable characters of ASCII without spaces and
//	                   colons. Backends that are to share groups have the same; Django has none
//	store_later        whether a call that has computed returns before the result is stored (false);
//	                   for long-running programs that call Close before they end
//
// [Configure] makes the program's set of backends. A library, a tenant or a test makes one of its own with [New], which
// nothing else touches: see [Caches]. [Check] names the decorated functions that can't use their backend.
//
// A backend that was closed stays closed. [Configure] closes those that it replaces. Computations that
// are under way then are stored where they began, and the last one of a backend releases its connections,
// goroutines and memory. Decorated functions and package cache look their backend up again; a [Cache] that was
// kept returns errors that match cacheutils.ErrClosed.
//
// # Values
//
// A [Cache] takes any value that comes out exactly as it went in, and refuses others, with an
// error that matches cacheutils.ErrUnsupportedValue and names the field. Each entry carries a
// fingerprint of its type, so that what an older version of the type has left is a miss. While two versions
// of a program run, GetOrSet and decorated functions have a value for each under one key, on engines that hold
// bytes. An invalidation, and every Set, drops both.
//
//	value                                      comes out
//	bool, numbers, strings, NaN, -0            the same bits
//	nil and empty slices and maps              nil and empty, as they were
//	arrays, structs, embedded structs          the same; struct tags mean nothing
//	pointers, nil, pointers to nil             the same shape; pointers to one value become
//	                                           pointers to copies
//	any                                        the same type and value, of every type below
//	time.Time                                  the same instant, offset, zone and location;
//	                                           without the monotonic part
//	big.Int, netip.Addr, url.URL, ...          by their own MarshalBinary, GobEncode or
//	                                           MarshalText, if that gives the value back
//	keys of maps                               the same to ==; refused where a copy can't be: pointers,
//	                                           times in another location than UTC and Local
//	cycles                                     refused when they are met
//	unexported fields, without such a method   refused, unless they take no memory
//	errors and other interfaces with methods   refused
//	funcs, chans, unsafe.Pointer               refused
//
// Engines in this process's memory keep a value as it is where a copy of it shares nothing
// that can be changed: a number, a string, a time, a struct or array of those, with
// unexported fields too. Everything else they keep encoded, so that no caller's changes show
// in the cache or to another caller. A decorated function may say that its results are only
// read (decorators.Shared): they are then kept as they are, whatever they are.
//
// # Groups
//
// [Group] puts entries into groups, with any operation that stores, and
// [Cache.InvalidateGroup] drops those of a group, in one write, whatever their number; several groups
// are written twice, since what is in one may be computed from what is in another. Groups are
// known to all processes that use the store, by the backend's Version and their name:
// prefixes don't count, so that a Django project with django-cache-utils has the same ones.
//
// # Engines
//
// What an engine has to do is in package engine, and package backendtest checks it: it stores bytes, or values in
// this process's memory, under keys. Everything besides that is done above the engines, the same for
// all of them: prefix and version, encoding, the single computation of a missing value, groups, stale values,
// and that an invalidation is not undone by a computation which began before it. docs/freshness.md has the
// algorithm and why it is right, docs/architecture.md where its parts are.
package backends
