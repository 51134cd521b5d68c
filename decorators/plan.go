package decorators

import (
	"reflect"
	"runtime"
	"weak"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Backend names the backend to use. Without it that is "default". The name is looked up when
// the function is first called.
func Backend(name string) Option {
	return func(o *options) { o.backend = &name }
}

// On names the set of backends in which the function's backend is looked up, for a library with a set of its own (see
// backends.New): its users' Configure doesn't touch it. Without On that is the set that backends.Configure has
// made. A context of backends.With comes before both.
func On(c *backends.Caches) Option {
	return func(o *options) { o.set, o.hasSet = c, true }
}

type backendOptions struct {
	backend *string // nil: not given
	set     *backends.Caches
	hasSet  bool
}

// A plan is what Cached finds out about a function once, so that a call only follows it. Each of its parts is
// made, and read, by the file that declares it.
type plan struct {
	*function          // function.go: what Cached was given
	backend   *backend // backend.go
	task      *store.Task
	hot       hotPlan // hot.go: hits without a lookup
	reads     reads   // contextread.go: context values that are in no key

	keyPlan    // key.go: how arguments make a key
	groupPlan  // groups.go: which groups results are in
	bypassPlan // bypass.go: which calls run without the cache
	resultPlan // results.go: what becomes of results
	copyPlan   // keep.go: which arguments are copied
}

// newPlan panics when the function can't be decorated with its options. argsType is a struct of the arguments after
// the context, of typed calls; nil: calls are by reflection.
func newPlan(f *function, argsType reflect.Type) *plan {
	p := &plan{
		function:   f,
		resultPlan: newResultPlan(f),
		keyPlan:    newKeyPlan(f),
		groupPlan:  groupPlan{groups: groupsOfAll(f), groupsOf: checkedGroupsOf(f)},
		bypassPlan: newBypassPlan(f),
		backend:    newBackend(f),
	}
	p.copyPlan = newCopyPlan(&p.keyPlan)
	p.unkeyed = store.UnkeyedSecrets(f.name, p.backend.name)
	for i := range p.params {
		p.scope.Expect(p.typ.In(p.params[i].index))
	}
	p.scope.Expect(p.boxType)
	if argsType != nil {
		p.layOut(argsType)
	}
	p.planHot()
	p.checkReads()
	p.task = newTask(p)
	p.checkTask()
	p.register()
	return p
}

// register panics if another function has the name, and may not share its entries.
func (p *plan) register() {
	b := p.backend
	b.function = registered.Function{
		Name: p.name, Place: p.location, Set: b.key(), Backend: b.name,
		Type: p.boxType, Results: typeList(p.typ.Out, p.numResults), Shared: p.options.shared, Many: p.isMany(),
		Named: p.options.key != nil || p.options.hasInstance, Instance: p.options.hasInstance,
		What: p.sole, Sole: p.sole != "", Nowhere: p.isNowhere, Value: p.fn, Address: p.address(),
		Plan: weak.Make(p),
	}
	if err := b.share(b.own()); err != nil {
		panicf("Cached at %s: %s", p.location, reason(err))
	}
	remove := registered.Add(b.function)
	runtime.AddCleanup(p, func(remove func()) { remove() }, remove)
}

func newBackend(f *function) *backend {
	name := "default"
	if f.options.backend != nil {
		name = *f.options.backend
	}
	if name == "" {
		panicf(`%s: Backend has an empty name; leave it out for the backend "default"`, f.displayName)
	}
	set := f.options.set
	if f.options.hasSet && set == nil {
		panicf("%s: On has a nil set of backends: make it with backends.New before the function is decorated", f.displayName)
	}
	return &backend{name: name, set: set}
}

// newTask returns what the store is told of the function's computations.
func newTask(p *plan) *store.Task {
	task := store.NewTaskOf(p.name, p.scope.Of(p.boxType), p.options.shared)
	if p.types != nil {
		task.Only(p.types)
	}
	task.Errors = p.errors
	task.Stale = p.options.staleFor()
	task.Linger = p.options.lingerFor()
	task.DropIfEnded = p.errorType == nil && p.contextIndex >= 0
	if p.ownContext != nil {
		task.Attached, task.Stale = true, 0
	}
	task.Many = p.isMany()
	if p.derives {
		task.Watch.Watcher = &p.reads
	}
	p.checkAbsent()
	return task
}

// checkTask panics if no backend can store the results or, where the backend is known already, if that one can't.
func (p *plan) checkTask() {
	err := p.task.Err()
	if cache, unknown := p.backend.own().Store(p.backend.name, store.Caller{}); err == nil && unknown == nil {
		err = cache.Holds(p.task)
	}
	if err == nil {
		return
	}
	otherwise := "or say Shared() and use a backend in this process's memory"
	if p.options.shared {
		otherwise = "or use a backend in this process's memory"
	}
	panicf("%s: its results (%s) can't be cached: %v; %s",
		p.displayName, typeList(p.typ.Out, p.numResults), p.whyRefused(err), otherwise)
}
