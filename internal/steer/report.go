package steer

import (
	"context"
	"strings"
	"sync"
	"time"
)

// A Report has the records of the calls under a context. Many may write it at once, also while it is read.
type Report struct {
	mu      sync.Mutex
	records []*Record
	ended   [outcomes]int // of all calls, by their outcomes
	leftOut int
}

// maxRecords is how many calls a Report has. Of others it has no more than how many they were.
const maxRecords = 1000

// maxText is how many bytes of a key or a name a record has.
const maxText = 512

// An Outcome is what a call came to. Of those of a call's keys the last counts for the call.
type Outcome int

const (
	UnderWay Outcome = iota
	Hit
	Stale
	Joined
	Miss
	Forced
	AroundCache
	Fault

	outcomes = iota
)

// A Record is what one call did.
type Record struct {
	report   *Report
	call     *Call
	task     any
	fallback Outcome
	many     bool
	began    time.Time

	// Guarded by the report.
	index int // in the report; negative: it is left out
	ended bool
	Entry
}

// An Entry is what a report says of a call.
type Entry struct {
	Function, Key string
	Outcome       Outcome
	Keys          [outcomes]int // of a call for many keys
	Age, Took     time.Duration
	Caller        int // the index of the call in whose computation it was made; negative: none
	Err           error
}

// Begin begins the record of a call that is steered so, of the function with that name and task. fallback is what it has come
// to if nothing is noted. many says that it is for many keys.
func (r *Report) Begin(call *Call, function string, task any, fallback Outcome, many bool) *Record {
	record := &Record{report: r, task: task, fallback: fallback, many: many, began: time.Now(), index: -1,
		Entry: Entry{Function: clip(function), Caller: -1}}
	own := *call
	own.Record = record
	record.call = &own
	r.mu.Lock()
	defer r.mu.Unlock()
	if call.Record != nil && call.Record.report == r {
		record.Caller = call.Record.index
	}
	if len(r.records) < maxRecords {
		record.index = len(r.records)
		r.records = append(r.records, record)
	} else {
		r.leftOut++
	}
	return record
}

// clip returns text, or the beginning of one that is long, in memory of its own.
func clip(text string) string {
	if len(text) > maxText {
		return text[:maxText] + "..."
	}
	return strings.Clone(text)
}

// Under returns a context of the call, by which notes find its record, and calls of its computation it.
func (r *Record) Under(ctx context.Context) context.Context { return Attach(ctx, r.call) }

// Note notes what a call, or one of its keys, has come to. It may be called again, if it was something else in the end; for a call for
// many keys once for each. A nil Record notes nothing.
func (r *Record) Note(key string, o Outcome, age time.Duration, err error) {
	if r == nil {
		return
	}
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	if r.ended {
		return
	}
	if r.many {
		r.noteKeys(1, o, err)
		return
	}
	r.Key, r.Outcome, r.Age, r.Err = clip(key), o, age, err
}

// NoteKeys is Note for n keys of a call for many.
func (r *Record) NoteKeys(n int, o Outcome, err error) {
	if r == nil || n == 0 {
		return
	}
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	if !r.ended {
		r.noteKeys(n, o, err)
	}
}

func (r *Record) noteKeys(n int, o Outcome, err error) {
	r.Keys[o] += n
	r.Outcome = max(r.Outcome, o)
	if r.Err == nil {
		r.Err = err
	}
}

// Restart forgets what was noted: the call begins again.
func (r *Record) Restart() {
	if r == nil {
		return
	}
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	r.Keys, r.Outcome, r.Err = [outcomes]int{}, UnderWay, nil
}

// End notes that the call has ended.
func (r *Record) End() {
	r.report.mu.Lock()
	defer r.report.mu.Unlock()
	r.ended, r.Took = true, time.Since(r.began)
	if r.Outcome == UnderWay {
		r.Outcome = r.fallback
	}
	r.report.ended[r.Outcome]++
}

// Entries returns what there is of each call, in the order in which they began, and how many are left out.
func (r *Report) Entries() (entries []Entry, leftOut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries = make([]Entry, len(r.records))
	for i, record := range r.records {
		if entries[i] = record.Entry; !record.ended {
			entries[i].Outcome, entries[i].Took = UnderWay, time.Since(record.began)
		}
	}
	return entries, r.leftOut
}

// Count returns how many calls have come to that.
func (r *Report) Count(o Outcome) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o == UnderWay {
		n := len(r.records) + r.leftOut
		for _, ended := range r.ended {
			n -= ended
		}
		return n
	}
	if o < 0 || int(o) >= len(r.ended) {
		return 0
	}
	return r.ended[o]
}

// Reports reports whether a call that is steered so, or not at all if it is nil, is in a report.
func Reports(call *Call) bool { return call != nil && call.Report != nil }

// RecordOf returns the record of the call that is steered so, or not at all if that is nil, if it is one with that task.
func RecordOf(call *Call, task any) *Record {
	if call == nil || call.Record == nil || call.Record.task != task {
		return nil
	}
	return call.Record
}
