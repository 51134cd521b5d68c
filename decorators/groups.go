package decorators

import (
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/store"
)

// Group puts results into groups, which cache.InvalidateGroup drops at once, in all processes and
// whatever their number. A name is any text. It costs a hit no round trip: the groups are read
// together with the result. Adding a group to a function makes its existing entries misses, since
// what it has stored without that group would not be invalidated with it.
func Group(names ...string) Option {
	return func(o *options) { o.groups = append(o.groups, names...) }
}

// GroupsOf has fn decide which groups the results for some arguments are in, besides those of
// Group. It takes the parameters of the decorated function, the context too, and returns
// a []string. It runs at every call, and equal arguments must have equal groups.
func GroupsOf(fn any) Option {
	return func(o *options) { o.groupsOf = fn }
}

type groupOptions struct {
	groups   []string
	groupsOf any
}

// A groupPlan is which groups results are in.
type groupPlan struct {
	groupsOf    reflect.Value // invalid: none but those of Group
	groupCaches atomic.Pointer[groupCaches]
}

// A groupCache has the groups of all results as one store has them.
type groupCache struct {
	cache  *store.Store
	groups *store.Groups
}

// checkedGroupsOf returns the function of GroupsOf, if there is one.
func checkedGroupsOf(f *function) reflect.Value {
	fn := f.options.groupsOf
	if fn == nil {
		return reflect.Value{}
	}
	v := reflect.ValueOf(fn)
	if !f.takesParameters(v) || v.Type().NumOut() != 1 || v.Type().Out(0) != reflect.TypeFor[[]string]() {
		panicf("%s: GroupsOf takes a func%s []string, got %T", f.displayName, f.takes(), fn)
	}
	return v
}

// groupsFor returns the groups of the results for the arguments, or nil.
func (p *plan) groupsFor(cache *store.Store, a *arguments) *store.Groups {
	names := p.options.groups
	if p.groupsOf.IsValid() {
		others := callWith(p.groupsOf, p.reflected(a))[0].Interface().([]string)
		return cache.Groups(append(slices.Clip(names), others...)...)
	}
	if len(names) == 0 {
		return nil
	}
	known := p.groupCaches.Load()
	if known != nil {
		for _, g := range known {
			if g != nil && g.cache == cache {
				return g.groups
			}
		}
	}
	g := &groupCache{cache, cache.Groups(names...)}
	p.groupCaches.Store(known.with(g))
	return g.groups
}

// maxGroupCaches is for how many stores the groups are kept. There are several where contexts name sets of backends.
const maxGroupCaches = 8

// groupCaches are those of the stores used lately, the latest first.
type groupCaches [maxGroupCaches]*groupCache

// with returns what is known and g, without what is known of stores that are closed, or the oldest.
func (known *groupCaches) with(g *groupCache) *groupCaches {
	next := &groupCaches{g}
	if known == nil {
		return next
	}
	n := 1
	for _, old := range known {
		if old != nil && n < maxGroupCaches && old.cache.Closed() == nil {
			next[n] = old
			n++
		}
	}
	return next
}
