package store

import (
	"context"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// A call that is in a report finds its record by its context or, where that is none of which another can be made, by its
// goroutine, and notes in it what it has come to. All of that is on the caller's goroutine. Calls that are in no report find none.

// RecordOf returns the record of the call under ctx, which may be nil, if that is one with the task, otherwise nil.
func RecordOf(ctx context.Context, task *Task) *steer.Record {
	if ctx == nil {
		ctx = context.Background()
	}
	return recordOf(ctx, task)
}

// recordOf returns the record of the call under ctx, if that is one with the task, otherwise nil.
func recordOf(ctx context.Context, task *Task) *steer.Record {
	if !steer.Used() {
		return nil
	}
	return findRecord(ctx, task)
}

func findRecord(ctx context.Context, task *Task) *steer.Record {
	call := steer.Of(ctx)
	if record := steer.RecordOf(call, task); record != nil {
		return record
	}
	caller := flight.CallersContext()
	if caller == nil {
		return nil
	}
	if outer := steer.Of(caller); call == nil || outer != nil && outer.Report == call.Report {
		return steer.RecordOf(outer, task)
	}
	return nil
}

// noteLive notes a hit on a live value.
func (c *Store) noteLive(record *steer.Record, text []byte, item engine.Item, task *Task) {
	meta, _ := entry.Referred(item.Live, task.typ)
	record.Note(string(text[len(c.prefix):]), steer.Hit, meta.Age(c.now()), nil)
}

// noteFound notes that a caller has got what was found.
func (c *Store) noteFound(record *steer.Record, key *Key, f *found, o steer.Outcome) {
	if record != nil {
		record.Note(key.Text(), o, f.entry.Age(c.now()), nil)
	}
}
