package decorators

import (
	"context"
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A call under a context of cacheutils.WithReport is in that report: it runs under a context of its own, by which the store
// finds its record, and the calls in its computation are found to be its own. Such a call takes no hit from the hot table,
// but by a lookup, which would find the same.

// record begins the record of a call under ctx, which may be nil, or returns nil if it is to be in no report. fallback is what the
// call comes to if nobody notes anything.
func (p *plan) record(ctx context.Context, fallback steer.Outcome) *steer.Record {
	call := steering(ctx)
	if !steer.Reports(call) {
		return nil
	}
	return call.Report.Begin(call, p.name, p.task, fallback, p.isMany())
}

// recorded runs a call of which record is, under a context with that. Where ctx is nil, it stays so, and the call finds the record by
// its goroutine.
func recorded(ctx context.Context, record *steer.Record, call func(ctx context.Context)) {
	defer record.End()
	under := record.Under(orBackground(ctx))
	if ctx == nil {
		store.Compute(under, func() { call(nil) })
		return
	}
	call(under)
}

// recordedValues is recorded for a call by reflection. A context of a type of the user's stays as it is.
func (p *plan) recordedValues(values []reflect.Value, record *steer.Record, call func([]reflect.Value) []reflect.Value) (results []reflect.Value) {
	ctx := p.context(values)
	if ctx == nil || !p.derives {
		defer record.End()
		store.Compute(record.Under(orBackground(ctx)), func() { results = call(values) })
		return results
	}
	recorded(ctx, record, func(under context.Context) {
		own := slices.Clone(values)
		own[p.contextIndex] = reflect.ValueOf(&under).Elem()
		results = call(own)
	})
	return results
}

// noteUncached notes that a call for n keys runs without the cache, because of why or, if that is nil, since it is to.
func (p *plan) noteUncached(ctx context.Context, n int, why error) {
	record := store.RecordOf(ctx, p.task)
	outcome := steer.Fault
	if why == nil {
		outcome = steer.AroundCache
	}
	if p.isMany() {
		record.NoteKeys(n, outcome, why)
	} else {
		record.Note("", outcome, 0, why)
	}
}
