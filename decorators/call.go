package decorators

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/logging"
)

// What calls by reflection and typed calls have in common: a call looks its results up in the cache and, if they
// aren't there, goes on with the miss and a computation (cached.go, typed.go). Results are passed on as a box, see
// results.go.

// hotHit returns the box of the results for the arguments if they are in the hot table, otherwise nil and what lookup
// needs to know. It does not retain pointer.
func (p *plan) hotHit(ctx context.Context, values []reflect.Value, pointer unsafe.Pointer) (box any, at spot) {
	call := steering(ctx)
	if !steer.IsPlain(call) {
		return nil, spot{}
	}
	cache, err := p.backend.storeFor(call)
	if err != nil {
		return nil, spot{}
	}
	slots := p.hot.slots(cache)
	var r raw
	if len(slots) == 0 || !p.hot.read(&r, values, pointer) {
		return nil, spot{store: cache}
	}
	slot := slotOf(slots, r.hash())
	return slot.get(orBackground(ctx), &r, p.task), spot{cache, slot}
}

// lookup returns the box of the results for the arguments, or the miss, or an error if the cache can't or, with
// errBypassed, isn't to be used. Others may have the same box: copy what it points at, don't change it. was is the miss of the call's
// lookup before, whose cache was closed then, or nil.
func (p *plan) lookup(ctx context.Context, at spot, values []reflect.Value, pointer unsafe.Pointer, was *store.Miss) (box any, miss *store.Miss, err error) {
	cache, a := at.store, &arguments{ctx: ctx, values: values, pointer: pointer}
	if cache == nil {
		var mode steer.Mode
		if cache, mode, err = p.modeOf(ctx); err != nil {
			return nil, nil, err
		}
		if mode == steer.Refreshed && !p.bypasses(a) {
			miss, err = p.renew(cache, a, was)
			return nil, miss, err
		}
	}
	if p.bypasses(a) {
		return nil, nil, errBypassed
	}
	buf := buffers.Get().(*[]byte)
	var groups *store.Groups
	if *buf, err = p.appendKey(cache.AppendPrefix((*buf)[:0]), a, p.secrets(cache)); err != nil {
		err = p.noKey(err)
	} else if groups, err = p.groupsFor(cache, a); err == nil && was != nil {
		box, miss = cache.LookupAgain(orBackground(ctx), *buf, groups, was)
	} else if err == nil {
		box, miss = cache.Lookup(orBackground(ctx), *buf, groups, p.task)
		switch {
		case box == nil:
		case at.slot.takes():
			p.hot.put(at, p.task, values, pointer, *buf, groups)
		case at.slot == nil && p.backend.isOwn(cache): // a set that a context has named has no table
			p.hot.begin(cache, p.task)
		}
	}
	if cap(*buf) <= maxBuffer {
		buffers.Put(buf)
	}
	return box, miss, err
}

// modeOf returns the backend of a call under ctx, and what it does with that, or errBypassed.
func (p *plan) modeOf(ctx context.Context) (*store.Store, steer.Mode, error) {
	call := steering(ctx)
	mode := steer.ModeOf(call)
	if mode == steer.Bypassed {
		return nil, mode, errBypassed
	}
	cache, err := p.backend.storeFor(call)
	if err != nil {
		err = p.unavailable(err)
	}
	return cache, mode, err
}

// renew returns the miss of a call that takes nothing that is cached.
func (p *plan) renew(cache *store.Store, a *arguments, was *store.Miss) (*store.Miss, error) {
	text, err := p.appendKey(cache.AppendPrefix(nil), a, p.secrets(cache))
	if err != nil {
		return nil, p.noKey(err)
	}
	key, err := p.entry(cache, string(text), a)
	if err != nil {
		return nil, err
	}
	return cache.Renew(key, p.task, was), nil
}

// force is ForceRecalc. An error says that the cache can't be used.
func (p *plan) force(a *arguments, compute func(context.Context) store.Result) (r store.Result, err error) {
	for {
		cache, text, err := p.locate(a)
		if err != nil {
			return store.Result{}, err
		}
		key, err := p.entry(cache, text, a)
		if err != nil {
			return store.Result{}, err
		}
		if r := cache.Force(a.context(), key, p.task, compute); !r.Closed {
			return r, nil
		}
	}
}

// locate returns the backend and the text of the key for the arguments.
func (p *plan) locate(a *arguments) (cache *store.Store, text string, err error) {
	if cache, err = p.backend.store(a.ctx); err != nil {
		return nil, "", p.unavailable(err)
	}
	b, err := p.appendKey(cache.AppendPrefix(nil), a, p.secrets(cache))
	if err != nil {
		return nil, "", p.noKey(err)
	}
	return cache, string(b), nil
}

// entry returns the key of the entry for the arguments, with the entry's groups. An operation that only names
// or deletes an entry needs no groups, and doesn't call the function of GroupsOf.
func (p *plan) entry(cache *store.Store, text string, a *arguments) (store.Key, error) {
	groups, err := p.groupsFor(cache, a)
	return cache.KeyOf(text, groups), err
}

func (p *plan) unavailable(err error) error {
	return errtext.Wrap(err, "%s", p.name)
}

func (p *plan) noKey(err error) error {
	return errtext.Wrap(keyenc.Discreet(err), "the key of %s", p.name)
}

// cached returns the box of what is cached for the arguments, or an error that matches
// ErrNoCachedValue.
func (p *plan) cached(a *arguments) (box any, err error) {
	if err := p.takesNone(a.ctx); err != nil {
		return nil, err
	}
	if p.bypasses(a) {
		return nil, fmt.Errorf("%w: %s, for which BypassIf says true", cacheutils.ErrNoCachedValue, p.name)
	}
	err = p.explicitly(a, func(cache *store.Store, text string) error {
		key, err := p.entry(cache, text, a)
		if err == nil {
			box, err = cache.FetchCached(a.context(), key, p.task)
		}
		return err
	})
	if err != nil && !errors.Is(err, cacheutils.ErrNoCachedValue) {
		err = noCachedValue(err)
	}
	return box, err
}

// noCachedValue is the error of a RequireCache that could not use the cache, because of err.
func noCachedValue(err error) error {
	return fmt.Errorf("%w: %w", cacheutils.ErrNoCachedValue, errtext.Bare(err))
}

// invalidate is Handle.Invalidate.
func (p *plan) invalidate(a *arguments) error {
	return p.explicitly(a, func(cache *store.Store, text string) error {
		if _, err := cache.Delete(a.context(), cache.KeyOf(text, nil)); err != nil {
			return errtext.Wrap(err, "invalidate %s", p.name)
		}
		p.task.Stats.Invalidations.Add(1)
		return nil
	})
}

// invalidateOwn is InvalidateAll of all handles.
func (p *plan) invalidateOwn(ctx context.Context) error {
	if !p.options.ownGroup {
		return fmt.Errorf("%w: InvalidateAll needs a group of the results of %s: decorate it with OwnGroup()", cacheutils.ErrArguments, p.name)
	}
	for {
		cache, err := p.backend.store(ctx)
		if err != nil {
			return p.unavailable(err)
		}
		switch err = cache.InvalidateGroup(orBackground(ctx), p.ownGroup()); {
		case err == nil:
			p.task.Stats.Invalidations.Add(1)
			return nil
		case !errors.Is(err, cacheutils.ErrClosed) || !p.replaced(ctx, cache):
			return errtext.Wrap(err, "invalidate all results of %s", p.name)
		}
	}
}

// cacheKey is Handle.CacheKey.
func (p *plan) cacheKey(a *arguments) (string, error) {
	cache, text, err := p.locate(a)
	if err != nil {
		return "", err
	}
	key := cache.KeyOf(text, nil)
	return key.Text(), nil
}

// set is Handle.Set.
func (p *plan) set(a *arguments, box any) error {
	timeout := p.timeoutFor(a.ctx, box)
	return p.explicitly(a, func(cache *store.Store, text string) error {
		key, err := p.entry(cache, text, a)
		if err != nil {
			return err
		}
		if err := cache.Put(a.context(), key, p.task, box, timeout); err != nil {
			return errtext.Wrap(err, "set %s", p.name)
		}
		return nil
	})
}

// explicitly carries out an operation on what is under the key of the arguments, whose text it is given. A backend
// that is closed when it is used was replaced since it was looked up, and is looked up again.
func (p *plan) explicitly(a *arguments, operation func(cache *store.Store, text string) error) error {
	for {
		cache, text, err := p.locate(a)
		if err != nil {
			return err
		}
		if err = operation(cache, text); !errors.Is(err, cacheutils.ErrClosed) || !p.replaced(a.ctx, cache) {
			return err
		}
	}
}

// replaced reports whether the backend of a call under ctx is another one by now.
func (p *plan) replaced(ctx context.Context, cache *store.Store) bool {
	now, err := p.backend.store(ctx)
	return err == nil && now != cache
}

// uncached notes that a call for n keys, under ctx, which may be nil, bypasses the cache, and why: unless that was asked for, it is logged once
// a second for each backend that isn't there or is closed, and for each function of which a key can't be made.
func (p *plan) uncached(ctx context.Context, n int, err error) {
	p.task.Stats.Computations.Add(uint64(n))
	if err == errBypassed {
		p.noteUncached(ctx, n, nil)
		p.task.Stats.Bypasses.Add(uint64(n))
		return
	}
	p.noteUncached(ctx, n, err)
	p.task.Stats.Errors.Add(1)
	level, cause := logging.LevelWarn, p.name
	switch {
	case errors.Is(err, cacheutils.ErrUnknownBackend):
		level, cause = logging.LevelError, "no backend "+p.backend.name
	case errors.Is(err, cacheutils.ErrClosed):
		cause = "closed backend " + p.backend.name
	}
	lines := p.backend.setFor(ctx).Lines(store.Caller{})
	lines.Log(level, cause, logging.Event{Action: logging.ActionFault, Text: fmt.Sprintf("call %s without the cache", p.name), Err: err})
}
