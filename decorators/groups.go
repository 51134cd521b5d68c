package decorators

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Group puts results into groups, which cache.InvalidateGroup drops at once, in all processes and
// whatever their number. A name is any text but the empty one, of at most 1024 bytes, and there may be 1000. It costs a
// hit no round trip: the groups are read together with the result. Adding a group to a function makes its existing
// entries misses, since what it has stored without that group would not be invalidated with it.
func Group(names ...string) Option {
	return func(o *options) {
		o.groups = append(o.groups, names...)
		o.noGroup = o.noGroup || len(names) == 0
	}
}

// GroupsOf has fn decide which groups the results for some arguments are in, besides those of
// Group. It takes the parameters of the decorated function, the context too, and returns
// a []string. It runs at every call, and equal arguments must have equal groups. An empty name is a fault, as are one of more
// than 1024 bytes and more than 1000 groups with those of Group: the call
// runs without the cache, and an operation of the handle that stores returns an error that matches
// cacheutils.ErrArguments.
func GroupsOf(fn any) Option {
	return func(o *options) { o.groupsOf = &fn }
}

// OwnGroup puts all results of the function into a group of its own, which the handle's InvalidateAll drops. The name of the group
// is the function's, see Handle.Name: what else invalidates that, cache.InvalidateGroup in another program say, drops them too, and
// so does a Group of that name elsewhere. Of a name of more than 1024 bytes it is the beginning and a hash. Functions that share their
// entries, by one Key, need it all, and then share the group; with Instance each instance has its own.
//
// Like any Group it costs a hit no round trip, and what was stored without it is a miss.
func OwnGroup() Option {
	return func(o *options) { o.ownGroup = true }
}

type groupOptions struct {
	groups   []string
	groupsOf *any // nil: not given
	noGroup  bool // a Group has no names
	ownGroup bool
}

// A groupPlan is which groups results are in.
type groupPlan struct {
	groups        []string                                                // of all results
	groupsOf      reflect.Value                                           // invalid: none but those
	typedGroupsOf func(ctx context.Context, args unsafe.Pointer) []string // the same without reflection; nil: there is none
	groupCaches   atomic.Pointer[groupCaches]
}

// A groupCache has the groups of all results as one store has them.
type groupCache struct {
	cache  *store.Store
	groups *store.Groups
}

// groupsOfAll returns the groups of all results, and panics if an option doesn't fit.
func groupsOfAll(f *function) []string {
	if f.options.noGroup {
		panicf("%s: Group has no names; leave it out, or name a group", f.displayName)
	}
	groups := f.options.groups
	if f.options.ownGroup && !slices.Contains(groups, f.ownGroup()) {
		groups = append(slices.Clip(groups), f.ownGroup())
	}
	if wrong := errtext.WrongGroups("Group", groups, store.MaxGroups); wrong != "" {
		panicf("%s: %s", f.displayName, wrong)
	}
	return groups
}

// ownGroup returns the name of the group that OwnGroup adds.
func (f *function) ownGroup() string {
	if len(f.name) <= errtext.MaxGroupName {
		return f.name
	}
	return cachekey.Sanitize(f.name, errtext.MaxGroupName)
}

// checkedGroupsOf returns the function of GroupsOf, if there is one, and panics if it doesn't fit.
func checkedGroupsOf(f *function) reflect.Value {
	fn := f.options.groupsOf
	if fn == nil {
		return reflect.Value{}
	}
	v := reflect.ValueOf(*fn)
	if !f.takesParameters(v) || v.Type().NumOut() != 1 || v.Type().Out(0) != reflect.TypeFor[[]string]() {
		panicf("%s: GroupsOf takes a func%s []string, got %s", f.displayName, f.takes(), givenFunc(v))
	}
	return v
}

// givenGroupsOf returns what GroupsOf was given, nil if there is none.
func (p *plan) givenGroupsOf() any {
	if p.options.groupsOf == nil {
		return nil
	}
	return *p.options.groupsOf
}

// callsGroupsOf has calls by fn what GroupsOf was given, without reflection. p is the plan of a typed function whose arguments
// are the fields of an A.
func callsGroupsOf[A any](p *plan, fn func(context.Context, *A) []string) {
	p.typedGroupsOf = func(ctx context.Context, args unsafe.Pointer) []string { return fn(ctx, (*A)(args)) }
}

// groupsOfCall returns what the function of GroupsOf does for the arguments.
func (p *plan) groupsOfCall(a *arguments) []string {
	if p.typedGroupsOf != nil && a.values == nil {
		return p.typedGroupsOf(a.ctx, a.pointer)
	}
	return callWith(p.groupsOf, p.reflected(a))[0].Interface().([]string)
}

// groupsFor returns the groups of the results for the arguments, or nil if there are none.
func (p *plan) groupsFor(cache *store.Store, a *arguments) (*store.Groups, error) {
	names := p.groups
	if p.groupsOf.IsValid() {
		others := p.groupsOfCall(a)
		if wrong := errtext.WrongGroupNames("GroupsOf", others); wrong != "" {
			return nil, errtext.Wrap(fmt.Errorf("%w: %s", cacheutils.ErrArguments, wrong), "the groups of %s", p.name)
		}
		names = append(slices.Clip(names), others...)
		if wrong := errtext.ManyGroups("Group and GroupsOf", names, store.MaxGroups); wrong != "" {
			return nil, errtext.Wrap(fmt.Errorf("%w: %s", cacheutils.ErrArguments, wrong), "the groups of %s", p.name)
		}
		return cache.Groups(names...), nil
	}
	if len(names) == 0 {
		return nil, nil
	}
	known := p.groupCaches.Load()
	if known != nil {
		for _, g := range known {
			if g != nil && g.cache == cache {
				return g.groups, nil
			}
		}
	}
	g := &groupCache{cache, cache.Groups(names...)}
	p.groupCaches.Store(known.with(g))
	return g.groups, nil
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
