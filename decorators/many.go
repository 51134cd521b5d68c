package decorators

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
)

// CachedMany is Cached for a function that has results for many keys at once, such as one that
// selects rows by their ids. Each key's result is an entry of its own, with the key that
// Cached1 would give it: a Cached1 with the same Key and the same types shares them.
//
// A call looks up all keys in one round trip to each server. Those that are missing are computed by one call of
// fn, leaving out what other calls or processes are computing: for these it waits. Each key has its own lease
// and groups, and its own fate when it is invalidated meanwhile. Keys that are given twice count once. Results
// of fn for other keys than those of its call are left out. A key is that of its call if it is the same in the cache: two
// pointers to the same, say, or what KeyOf takes for the same.
//
// Results past their timeout, see Stale, are returned as they are. Those of one call that are not being
// computed already are computed by one call of fn, in the background.
//
// What is said of contexts in the doc of Cached holds here, too. The context of one call of fn ends when
// no caller waits for any of its keys. Its deadline is the latest of its keys'; it has none if one of them has none.
//
// The returned map has no key for which fn has no result; fn is called for such keys again next time, unless
// Absent says otherwise. When fn returns an error, the call returns that with the results that it has all the
// same. fn is not called for no keys.
//
// Options whose functions take the decorated function's parameters or results are given one key
// and one result: GroupsOf(func(ctx context.Context, id int64) []string {...}).
func CachedMany[K comparable, V any](fn func(context.Context, []K) (map[K]V, error), opts ...Option) (func(context.Context, []K) (map[K]V, error), *HandleMany[K, V]) {
	one := reflect.TypeFor[func(context.Context, K) (V, error)]()
	p := newPlan(newFunction(reflect.ValueOf(fn), one, callerLocation(1), opts), reflect.TypeFor[args1[K]]())
	if of, ok := p.givenGroupsOf().(func(context.Context, K) []string); ok {
		callsGroupsOf(p, func(ctx context.Context, x *args1[K]) []string { return of(ctx, x.A) })
	}
	m := &many[K, V]{plan: p, fn: fn}
	return m.reporting(steer.Hit, m.call), &HandleMany[K, V]{
		ForceRecalc:  m.reporting(steer.Hit, m.forceRecalc),
		RequireCache: m.reporting(steer.Miss, m.requireCache),
		Original:     fn,
		many:         m,
	}
}

// A many is a function that CachedMany has decorated.
type many[K comparable, V any] struct {
	plan *plan // as it would be for one key; not embedded, as in typed
	fn   func(context.Context, []K) (map[K]V, error)
}

// reporting returns call, as one that is in reports.
func (m *many[K, V]) reporting(fallback steer.Outcome, call func(context.Context, []K) (map[K]V, error)) func(context.Context, []K) (map[K]V, error) {
	return func(ctx context.Context, keys []K) (map[K]V, error) {
		record := m.plan.record(ctx, fallback)
		if record == nil {
			return call(ctx, keys)
		}
		return m.recorded(ctx, record, keys, call)
	}
}

func (m *many[K, V]) recorded(ctx context.Context, record *steer.Record, keys []K, call func(context.Context, []K) (map[K]V, error)) (found map[K]V, err error) {
	recorded(ctx, record, func(ctx context.Context) { found, err = call(ctx, keys) })
	return found, err
}

// call is a call of the function that CachedMany returns.
func (m *many[K, V]) call(ctx context.Context, keys []K) (map[K]V, error) {
	if len(keys) == 0 {
		return map[K]V{}, nil
	}
	within, around := m.parted(ctx, distinct(keys))
	switch {
	case len(around) == 0:
		return m.callWithin(ctx, within)
	case len(within) == 0:
		return m.bypass(ctx, around, errBypassed)
	}
	found, err := m.callWithin(ctx, within)
	others, failed := m.bypass(ctx, around, errBypassed)
	maps.Copy(found, others)
	switch {
	case err == nil:
		err = failed
	case failed != nil && !same(err, failed):
		err = errors.Join(err, failed)
	}
	return found, err
}

// parted returns the keys that are looked up in the cache, and those for which BypassIf says true.
func (m *many[K, V]) parted(ctx context.Context, keys []K) (within, around []K) {
	if !m.plan.bypassIf.IsValid() {
		return keys, nil
	}
	for _, a := range m.argumentsOf(ctx, keys) {
		if key := (*args1[K])(a.pointer).A; m.plan.bypasses(a) {
			around = append(around, key)
		} else {
			within = append(within, key)
		}
	}
	return within, around
}

// callWithin is call for keys, which differ, for which the cache is used.
func (m *many[K, V]) callWithin(ctx context.Context, keys []K) (map[K]V, error) {
	var were []*store.Miss
	for {
		cache, found, misses, err := m.lookupAll(ctx, keys, were)
		if err != nil {
			return m.bypass(ctx, keys, err)
		}
		if misses == nil {
			return found, nil
		}
		results := make([]store.Result, len(keys))
		kept, ours := m.keepKeys(ctx, keys, misses)
		cache.FetchMisses(steered(ctx), misses, results, m.computation(ctx, kept, ours))
		if !slices.ContainsFunc(results, func(r store.Result) bool { return r.Closed }) {
			return found, m.collect(found, keys, results)
		}
		were = misses
	}
}

// keepKeys returns keys, with copies in the place of those with a miss, or of all if misses is nil, that a caller could
// change who has left. ours is false if there are some that can't be copied.
func (m *many[K, V]) keepKeys(ctx context.Context, keys []K, misses []*store.Miss) (kept []K, ours bool) {
	kept, ours = slices.Clone(keys), true
	if !m.plan.mutable {
		return kept, ours
	}
	canLeave := ctx != nil && ctx.Done() != nil
	for i := range kept {
		miss := misses == nil || misses[i] != nil
		if miss && (canLeave || misses != nil && misses[i].Refreshes()) {
			a := args1[K]{kept[i]}
			ours = m.plan.copyInto(&arguments{pointer: unsafe.Pointer(&a)}) && ours
			kept[i] = a.A
		}
	}
	return kept, ours
}

// lookupAll returns the results that are cached, by key, and the misses, by index, or nil if there are none. Under Refresh
// nothing is looked for, and all are misses. An error says that the cache can't or, with errBypassed, isn't to be used. were are the misses of
// the call's lookup before, whose cache was closed then, or nil.
func (m *many[K, V]) lookupAll(ctx context.Context, keys []K, were []*store.Miss) (cache *store.Store, found map[K]V, misses []*store.Miss, err error) {
	cache, mode, err := m.plan.modeOf(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	l := listings.Get().(*listing)
	defer l.free()
	if err = m.keysIn(ctx, cache, keys, l, true); err != nil {
		return nil, nil, nil, err
	}
	if mode == steer.Refreshed {
		misses = make([]*store.Miss, len(keys))
		for i, key := range l.entries {
			var was *store.Miss
			if were != nil {
				was = were[i]
			}
			misses[i] = cache.Renew(key, m.plan.task, was)
		}
		return cache, make(map[K]V, len(keys)), misses, nil
	}
	found, misses = m.lookupIn(ctx, cache, keys, l, were)
	return cache, found, misses, nil
}

// lookupIn looks up what keysIn has listed; were is as for lookupAll.
func (m *many[K, V]) lookupIn(ctx context.Context, cache *store.Store, keys []K, l *listing, were []*store.Miss) (found map[K]V, misses []*store.Miss) {
	found = make(map[K]V, len(keys))
	var boxes []V
	box := func(i int) any {
		if boxes == nil {
			boxes = make([]V, len(keys))
		}
		return &boxes[i]
	}
	misses = cache.LookupMany(orBackground(ctx), l.entries, m.plan.task, were, box, func(i int, value any) {
		if value != store.Negative {
			found[keys[i]] = *value.(*V)
		}
	})
	return found, misses
}

func (m *many[K, V]) forceRecalc(ctx context.Context, keys []K) (map[K]V, error) {
	if len(keys) == 0 {
		return map[K]V{}, nil
	}
	keys = distinct(keys)
	for {
		var l listing
		cache, err := m.locateAll(ctx, keys, &l, true)
		if err != nil {
			return m.bypass(ctx, keys, err)
		}
		kept, ours := m.keepKeys(ctx, keys, nil)
		results := cache.ForceMany(steered(ctx), l.entries, m.plan.task, m.computation(ctx, kept, ours))
		if !slices.ContainsFunc(results, func(r store.Result) bool { return r.Closed }) {
			found := make(map[K]V, len(keys))
			return found, m.collect(found, keys, results)
		}
	}
}

// bypass is a call without the cache, because of why. It returns what it would with the cache.
func (m *many[K, V]) bypass(ctx context.Context, keys []K, why error) (found map[K]V, err error) {
	m.plan.uncached(ctx, len(keys), why)
	var answers map[K]V
	store.Compute(ctx, func() { answers, err = m.fn(ctx, slices.Clone(keys)) })
	found = make(map[K]V, len(keys))
	answerTo := m.answersTo(ctx, keys, answers)
	for _, key := range keys {
		answer, ok, unclear := answerTo(key)
		if ok {
			found[key] = answer
		}
		if err == nil {
			err = unclear
		}
	}
	return found, err
}

// answersTo returns what finds the answer to one of keys, and whether there is one. An answer to no key that is asked
// for is that to the key which has the same text: a time in another zone, another pointer to the same, or what KeyOf takes
// for the same. Two of those are an error.
func (m *many[K, V]) answersTo(ctx context.Context, keys []K, answers map[K]V) func(K) (V, bool, error) {
	exact := 0
	for _, key := range keys {
		if _, ok := answers[key]; ok {
			exact++
		}
	}
	if exact == len(keys) || exact >= len(answers) {
		return func(key K) (V, bool, error) {
			answer, ok := answers[key]
			return answer, ok, nil
		}
	}
	asked := make(map[K]struct{}, len(keys))
	for _, key := range keys {
		asked[key] = struct{}{}
	}
	others := make(map[string][]V)
	for key, answer := range answers {
		if _, ok := asked[key]; !ok {
			if text, err := m.textOf(ctx, key); err == nil {
				others[text] = append(others[text], answer)
			}
		}
	}
	return func(key K) (answer V, ok bool, err error) {
		if answer, ok = answers[key]; ok {
			return answer, true, nil
		}
		text, err := m.textOf(ctx, key)
		if err != nil {
			return answer, false, nil
		}
		switch same := others[text]; len(same) {
		case 0:
			return answer, false, nil
		case 1:
			return same[0], true, nil
		default:
			named := "key to one entry" // without a backend nobody knows which
			if stored, err := m.plan.cacheKey(&arguments{ctx: ctx, pointer: unsafe.Pointer(&args1[K]{key})}); err == nil {
				named = "key " + cachekey.Digest(stored)
			}
			return answer, false, fmt.Errorf("%w: %s has returned %d results under keys that are all %s in the cache; return one, under the key that it was asked for",
				cacheutils.ErrInvalidKey, m.plan.name, len(same), named)
		}
	}
}

// textOf returns a text of one key, which is compared with those of others and not shown: what stands for a cachekey.Secret in it may
// be found by guessing.
func (m *many[K, V]) textOf(ctx context.Context, key K) (string, error) {
	text, err := m.plan.appendKey(nil, &arguments{ctx: ctx, pointer: unsafe.Pointer(&args1[K]{key})}, nil)
	return string(text), err
}

// A listing is the entries' keys of one call. Their texts share the memory of one slice.
type listing struct {
	texts   []byte
	ends    []int // of the texts
	entries []store.Key
}

var listings = sync.Pool{New: func() any { return new(listing) }}

// maxListing is up to how many keys a listing is used again.
const maxListing = 1000

// free lets other calls use l, and everything that the entries have in it.
func (l *listing) free() {
	if cap(l.texts) <= maxBuffer && cap(l.entries) <= maxListing {
		clear(l.entries)
		listings.Put(l)
	}
}

// locateAll returns the backend and fills in l as keysIn does.
func (m *many[K, V]) locateAll(ctx context.Context, keys []K, l *listing, grouped bool) (*store.Store, error) {
	cache, err := m.plan.backend.store(ctx)
	if err != nil {
		return nil, m.plan.unavailable(err)
	}
	return cache, m.keysIn(ctx, cache, keys, l, grouped)
}

// keysIn fills in l with the entries' keys in a backend, with the entries' groups if they are needed: to name or delete an entry
// they are not.
func (m *many[K, V]) keysIn(ctx context.Context, cache *store.Store, keys []K, l *listing, grouped bool) (err error) {
	const usual = 80 // bytes of a key
	l.texts = slices.Grow(l.texts[:0], usual*len(keys))
	l.ends = slices.Grow(l.ends[:0], len(keys))
	l.entries = slices.Grow(l.entries[:0], len(keys))
	var a arguments
	if a.part, err = m.plan.contextPart(ctx, m.plan.secrets(cache)); err != nil {
		return m.plan.noKey(err)
	}
	for _, key := range keys {
		m.argument(&a, ctx, key)
		if l.texts, err = m.plan.appendKey(cache.AppendPrefix(l.texts), &a, m.plan.secrets(cache)); err != nil {
			return m.plan.noKey(err)
		}
		l.ends = append(l.ends, len(l.texts))
	}
	begin := 0
	for i, end := range l.ends {
		var groups *store.Groups
		if grouped {
			if m.plan.groupsOf.IsValid() {
				m.argument(&a, ctx, keys[i])
			}
			if groups, err = m.plan.groupsFor(cache, &a); err != nil {
				return err
			}
		}
		text := l.texts[begin:end]
		l.entries = append(l.entries, cache.KeyOf(unsafe.String(unsafe.SliceData(text), len(text)), groups))
		begin = end
	}
	return nil
}

// argument makes a the arguments for one key, in the place of those for another, unless a pointer to these may have
// been retained.
func (m *many[K, V]) argument(a *arguments, ctx context.Context, key K) {
	if a.pointer == nil || !m.plan.inPlace {
		a.ctx, a.pointer = ctx, unsafe.Pointer(new(args1[K]))
	}
	(*args1[K])(a.pointer).A = key
}

// argumentsOf returns the arguments for each of keys.
func (m *many[K, V]) argumentsOf(ctx context.Context, keys []K) []*arguments {
	all := make([]*arguments, len(keys))
	for i, key := range keys {
		all[i] = &arguments{ctx: ctx, pointer: unsafe.Pointer(&args1[K]{key})}
	}
	return all
}

// computation returns what runs the function for some of keys and says what is to be done with
// its results. ours is what keepKeys returned for the keys.
func (m *many[K, V]) computation(ctx context.Context, keys []K, ours bool) store.ComputeMany {
	return func(working context.Context, missing []int) []store.Result {
		if ctx == nil {
			working = nil
		}
		asked := make([]K, len(missing))
		for i, index := range missing {
			asked[i] = keys[index]
		}
		defer func() {
			if m.plan.reads.arePending() {
				m.plan.warnOfReads(working, m.argumentsOf(ctx, asked)...)
			}
		}()
		answers, err := m.fn(working, slices.Clone(asked))
		results := make([]store.Result, len(missing))
		answerTo := m.answersTo(ctx, asked, answers)
		for i, key := range asked {
			switch answer, ok, unclear := answerTo(key); {
			case ok:
				results[i] = m.plan.judge(working, &answer, err)
			case unclear != nil && err == nil:
				results[i] = store.Result{Err: unclear}
			default:
				results[i] = store.Result{Err: err, Negative: err == nil, Timeout: m.plan.absentTimeout(working)}
			}
			if !ours || m.plan.countsContext() {
				results[i].Rekey = func(head []byte, s *keyenc.Secrets) ([]byte, error) {
					return m.plan.appendKey(head, &arguments{ctx: ctx, pointer: unsafe.Pointer(&args1[K]{key})}, s)
				}
			}
		}
		return results
	}
}

// collect puts results into found and returns their errors, each once.
func (m *many[K, V]) collect(found map[K]V, keys []K, results []store.Result) error {
	var errs []error
	for i, r := range results {
		if r.Value != nil {
			found[keys[i]] = *r.Value.(*V)
		}
		if r.Err != nil && !slices.ContainsFunc(errs, func(err error) bool { return same(err, r.Err) }) {
			errs = append(errs, r.Err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// same reports whether two errors are one. Errors that can't be compared differ.
func same(a, b error) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// distinct returns keys, each once, in their order.
func distinct[K comparable](keys []K) []K {
	if len(keys) < 2 {
		return keys
	}
	seen := make(map[K]struct{}, len(keys))
	for _, key := range keys {
		seen[key] = struct{}{}
	}
	if len(seen) == len(keys) {
		return keys
	}
	clear(seen)
	once := make([]K, 0, len(keys))
	for _, key := range keys {
		if _, again := seen[key]; !again {
			seen[key] = struct{}{}
			once = append(once, key)
		}
	}
	return once
}
