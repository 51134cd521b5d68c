package decorators

import (
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/store"
)

// planGroups checks the function that says which groups results are in, if there is one.
func (p *plan) planGroups(o *options) {
	p.groups = o.groups
	if o.groupsOf == nil {
		return
	}
	v := reflect.ValueOf(o.groupsOf)
	if !p.hasParameters(v) || v.Type().NumOut() != 1 || v.Type().Out(0) != reflect.TypeFor[[]string]() {
		panicf("%s: GroupsOf takes a func%s []string, got %T", p.label, p.takes(), o.groupsOf)
	}
	p.groupsOf = v
}

// A site has the groups of all results as one backend has them.
type site struct {
	cache  *store.Store
	groups *store.Groups
}

// groupsFor returns the groups of the results for the arguments, or nil.
func (p *plan) groupsFor(cache *store.Store, a *arguments) *store.Groups {
	if p.groupsOf.IsValid() {
		others := callWith(p.groupsOf, p.reflected(a))[0].Interface().([]string)
		return cache.Groups(append(slices.Clip(p.groups), others...)...)
	}
	if len(p.groups) == 0 {
		return nil
	}
	s := p.site.Load()
	if s == nil || s.cache != cache {
		s = &site{cache, cache.Groups(p.groups...)}
		p.site.Store(s)
	}
	return s.groups
}
