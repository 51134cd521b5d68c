package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// A process's backends are a set of its own, or the program's. The first is closed, and another one opened, while calls are under
// way; the second is replaced by Configure.

// isProgram reports whether the process uses the program's set.
func (p *program) isProgram() bool { return p.plan.config.program && p.index == 0 }

// settings returns what the process's backend is told.
func (p *program) settings() backends.Settings {
	c := &p.plan.config
	settings := backends.Settings{Backend: c.backend}
	switch c.backend {
	case simulatedStore, "memcached":
		settings.Options = map[string]any{"process": p.index, "set": p.sets, "lease": c.lease}
		if c.later {
			settings.Options["store_later"] = true
		}
		if c.network != nil {
			p.reach(&settings, p.index, p.sets)
		}
	case "locmem": // one store, which all sets name
		settings.Location = []string{fmt.Sprint("sim ", p.plan.seed, " ", p.plan.schedule)}
	}
	return settings
}

// open gives the process another set, and functions that use it.
func (p *program) open() error {
	p.sets++
	p.backend = fmt.Sprint(p.name, ".", p.sets)
	config := backends.Config{p.backend: p.settings()}
	if p.isProgram() {
		if err := backends.Configure(config); err != nil {
			return err
		}
		p.caches = backends.Default()
	} else {
		caches, err := backends.New(config)
		if err != nil {
			return err
		}
		p.caches = caches
	}
	p.decorate()
	return nil
}

// reopen gives the process another set, and closes the one that it had.
func (p *program) reopen() error {
	if p.isProgram() {
		return p.configure()
	}
	if p.isOver() { // nobody would close it
		return errDead
	}
	had := p.caches
	if err := p.open(); err != nil {
		return err
	}
	p.closes(false)
	return had.Close()
}

// configure replaces the program's set. Calls that are under way don't notice.
func (p *program) configure() error {
	if !p.isProgram() {
		return nil
	}
	if p.isOver() {
		return errDead
	}
	p.sets++
	if err := backends.Configure(backends.Config{p.backend: p.settings()}); err != nil {
		return err
	}
	p.caches = backends.Default()
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	if slices.ContainsFunc(p.history.records, func(r *record) bool {
		return r.process == p.index && r.ended == never && r.function != ""
	}) {
		p.count(replaced)
	}
	p.history.closed[p.index], p.history.replaced[p.index] = false, true
	return nil
}

// close closes the process's set.
func (p *program) close() error {
	p.closes(true)
	return p.caches.Close()
}

// closes notes that the set that the calls under way use is closed; forever says that there is no other one.
func (p *program) closes(forever bool) {
	p.runner.mu.Lock()
	defer p.runner.mu.Unlock()
	p.history.closed[p.index], p.history.disturbed[p.index] = forever, true
	for _, r := range p.history.records {
		if r.process == p.index && r.ended == never {
			if r.isClosed = true; r.kind != closing && r.kind != reopen {
				p.count(closedFor)
			}
		}
	}
}

// on returns the options by which package cache uses the process's backend.
func (p *program) on(more ...cache.Option) []cache.Option {
	all := []cache.Option{cache.Backend(p.backend)}
	if !p.isProgram() {
		all = append(all, cache.On(p.caches))
	}
	return append(all, more...)
}

// options returns those of a function of the process, which is in these groups besides "all".
func (p *program) options(name string, groupsOf any, more ...decorators.Option) []decorators.Option {
	c := &p.plan.config
	all := []decorators.Option{decorators.Key(name), decorators.Backend(p.backend), decorators.Timeout(c.timeout), decorators.Stale(c.stale)}
	if !p.isProgram() {
		all = append(all, decorators.On(p.caches))
	}
	if name == outerName && c.apart {
		all = append(all, decorators.Group(outerGroup))
	} else {
		all = append(all, decorators.Group("all"), decorators.GroupsOf(groupsOf))
	}
	if c.lingers {
		all = append(all, decorators.Linger(c.linger))
	}
	if name != pairName {
		all = append(all, c.steered(name)...)
	}
	if c.jitter > 0 {
		all = append(all, decorators.Jitter(c.jitter))
	}
	return append(all, more...)
}

// groupsOf is for functions of one key.
func groupsOf(_ context.Context, key int) []string { return groups(key)[1:] }

// isDisturbed reports whether backends of the process were closed at any time.
func (h *history) isDisturbed(process int) bool { return h.disturbed[process] }

// keptOpen returns the programs that live and have a set that is open.
func (r *runner) keptOpen(programs []*program) []*program {
	return slices.DeleteFunc(slices.Clone(programs), func(p *program) bool { return p.dead || r.history.closed[p.index] })
}
