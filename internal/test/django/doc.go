// Package django has no code, only a test that a Django project and a Go program on the same
// memcached invalidate each other's groups. Run it with make test-django, which installs
// Django and pymemcache from Debian's packages; without them it is skipped.
//
// The two share only the keys of groups: under <Version>_group::<name> there is the text of a random uuid, with
// flags 16. The Python side (django-cache-utils) puts it into the keys of its entries, the Go side into their
// values; both write another one, or delete it, to invalidate the group. Entries are apart: Python's are
// pickles, which Go doesn't read. Version here is the project's VERSION as it stands in its settings, such as
// "v1.", and nothing where it has none.
//
// Of Django's own low-level cache (django.core.cache) a backend "memcached" with the same
// KeyPrefix and Version has the same keys, and both sides count with the same whole numbers.
// Go reads Django's texts, too.
package django
