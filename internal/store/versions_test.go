package store

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// inSea runs test in a bubble, with a program of each of the versions.
func inSea(t *testing.T, stale time.Duration, test func(t *testing.T, h *history, all []*program), versions ...int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &history{t: t, sea: newSea(1), truth: 1}
		var all []*program
		for _, v := range versions {
			all = append(all, h.start(v, stale))
		}
		h.sea.run(func() {
			defer func() {
				for _, p := range all {
					p.store.Close()
				}
			}()
			test(t, h, all)
		})
	})
}

// takes returns a function that takes so long and returns n.
func (p *program) takes(took time.Duration, n int, timeout time.Duration) func(context.Context) Result {
	return func(context.Context) Result {
		time.Sleep(took)
		return Result{Value: p.value(n), Timeout: timeout}
	}
}

// wants calls the function, which takes a moment and returns n, and wants that many runs of it.
func (p *program) wants(t *testing.T, what string, n, want int, runs uint64) {
	t.Helper()
	before := p.runs()
	got := p.call(what, func(ctx context.Context) Result {
		return p.store.Fetch(ctx, p.key(), p.task, p.takes(time.Millisecond, n, time.Hour))
	})
	if got != want {
		t.Errorf("%s: version %d got %d, want %d", what, p.version, got, want)
	}
	if n := p.task.Stats.Errors.Load(); n != 0 {
		t.Errorf("%s: version %d has had %d faults", what, p.version, n)
	}
	if more := p.runs() - before; more != runs {
		t.Errorf("%s: version %d ran the function %d times, want %d", what, p.version, more, runs)
	}
}

// A caller waits for computations of its own version only, and these store beside each other's leases.
func TestVersions_WaitForTheirOwn(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		a, b, b2 := all[0], all[1], all[2]
		ctx := context.Background()
		slow := make(chan Result)
		go func() { slow <- a.store.Fetch(ctx, a.key(), a.task, a.takes(time.Hour, 1, 3*time.Hour)) }()
		time.Sleep(time.Second) // a's lease is renewed
		began := time.Now()
		b.wants(t, "beside a lease", 1, 1, 1)
		b2.wants(t, "beside a lease and a value", 1, 1, 0)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the second version took %v", took)
		}
		// Another caller of the second version waits for its own.
		if err := b.store.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		other := make(chan Result)
		go func() {
			other <- b.store.Fetch(ctx, b.key(), b.task, b.takes(10*time.Second, 2, 3*time.Hour))
		}()
		time.Sleep(time.Second)
		b2.wants(t, "beside two leases", 3, 2, 0)
		<-other
		if r := <-slow; r.Err != nil || a.task.Stats.Refusals.Load() != 1 {
			t.Errorf("the slow one, whose group was invalidated: %v, %d refusals", r.Err, a.task.Stats.Refusals.Load())
		}
		a.wants(t, "the end", 4, 4, 1)
		b.wants(t, "the end", 4, 2, 0)
	}, 0, 1, 1)
}

// Without an invalidation nothing that is computed is lost: a refused swap is not yet a lost lease.
func TestVersions_AllIsStored(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			h := &history{t: t, sea: newSea(seed), truth: 1}
			all := []*program{h.start(0, time.Hour), h.start(1, time.Hour), h.start(0, time.Hour), h.start(1, time.Hour)}
			h.sea.run(func() {
				for range 3 {
					done := make(chan struct{})
					for _, p := range all {
						go func() {
							p.store.Fetch(context.Background(), p.key(), p.task, p.takes(time.Duration(h.random(5))*50*time.Millisecond, 1, 300*time.Millisecond))
							done <- struct{}{}
						}()
					}
					for range all {
						<-done
					}
					time.Sleep(400 * time.Millisecond)
				}
				time.Sleep(time.Second)
				for _, p := range all {
					if s := &p.task.Stats; s.Refusals.Load() != 0 || s.Errors.Load() != 0 || s.Stores.Load() != s.Computations.Load() {
						t.Errorf("seed %d: version %d: %d computations, %d stores, %d refusals, %d faults", seed, p.version, s.Computations.Load(), s.Stores.Load(), s.Refusals.Load(), s.Errors.Load())
					}
					p.store.Close()
				}
			})
		})
	}
}

// What one version has ends when that says so, whatever the other has in the same item.
func TestVersions_EndOnTheirOwn(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		a, a2, b := all[0], all[1], all[2]
		ctx := context.Background()
		store := func(p *program, n int, timeout time.Duration) {
			t.Helper()
			if r := p.store.Fetch(ctx, p.key(), p.task, p.takes(0, n, timeout)); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		store(b, 1, time.Hour)
		store(a, 1, 100*time.Millisecond)
		a.wants(t, "before its end", 2, 1, 0)
		time.Sleep(time.Second / 2)
		b.wants(t, "after the other's end", 2, 1, 0)
		time.Sleep(3 * time.Second)
		b.wants(t, "long after the other's end", 2, 1, 0)
		a.wants(t, "after its end", 3, 3, 1)

		// The lease of a process that has died.
		if err := a.store.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		key := a.key()
		f := found{reader: a.task.typ}
		if err := a.store.lookup(ctx, &f, &key); err != nil {
			t.Fatal(err)
		}
		l, ok, err := a.store.take(ctx, &key, a.task.typ, f, false)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		a.store.renewals.end(l)
		store(b, 4, time.Hour)
		began := time.Now()
		a2.wants(t, "after a holder has died", 5, 5, 1)
		if took := time.Since(began); took < a.store.Lease/2 || took > 3*time.Second {
			t.Errorf("after a holder has died the next one took %v, want about a lease and a second", took)
		}
		b.wants(t, "beside that", 6, 4, 0)

		// A computation that fails leaves what the other has.
		if err := a.store.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		store(b, 7, time.Hour)
		failed := errors.New("failed")
		for range 2 {
			if r := a.store.Fetch(ctx, a.key(), a.task, func(context.Context) Result { return Result{Err: failed} }); r.Err != failed {
				t.Errorf("got %v", r.Err)
			}
		}
		time.Sleep(time.Minute)
		b.wants(t, "after the other has failed", 8, 7, 0)
		a.wants(t, "after it has failed", 8, 8, 1)
	}, 0, 0, 1)
}

// Each kind of write leaves of another version's value what it has to.
func TestVersions_WhatIsLeft(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name  string
		write func(a *program) error
		other bool // the other version's value is left
	}{
		{"Delete", func(a *program) error { _, err := a.store.Delete(ctx, a.key()); return err }, false},
		{"DeleteMany", func(a *program) error { return a.store.DeleteMany(ctx, []Key{a.key()}) }, false},
		{"Clear", func(a *program) error { return a.store.Clear(ctx) }, false},
		{"InvalidateGroup", func(a *program) error { return a.store.InvalidateGroup(ctx, "g") }, false},
		{"Put", func(a *program) error { return a.store.Put(ctx, a.key(), a.task, a.value(2), time.Hour) }, false},
		{"Put for no time", func(a *program) error { return a.store.Put(ctx, a.key(), a.task, a.value(2), 0) }, false},
		{"Set", func(a *program) error { return a.store.Set(ctx, a.key(), 2, time.Hour) }, false},
		{"Touch to the past", func(a *program) error { _, err := a.store.Touch(ctx, a.key(), 0); return err }, false},
		{"Touch", func(a *program) error { _, err := a.store.Touch(ctx, a.key(), time.Minute); return err }, true},
		{"Add", func(a *program) error { _, err := a.store.Add(ctx, a.key(), 2, time.Minute); return err }, true},
		{"Force", func(a *program) error {
			return a.store.Force(ctx, a.key(), a.task, a.takes(0, 2, time.Hour)).Err
		}, false},
		{"Force that discards", func(a *program) error {
			return a.store.Force(ctx, a.key(), a.task, func(context.Context) Result { return Result{Value: a.value(2), Discard: true} }).Err
		}, false},
		{"ForceMany", func(a *program) error {
			return a.store.ForceMany(ctx, []Key{a.key()}, a.task, func(ctx context.Context, _ []int) []Result {
				return []Result{a.takes(0, 2, time.Hour)(ctx)}
			})[0].Err
		}, false},
		{"a computation", func(a *program) error {
			return a.store.Fetch(ctx, a.key(), a.task, a.takes(0, 2, time.Hour)).Err
		}, true},
		{"a computation that discards", func(a *program) error {
			return a.store.Fetch(ctx, a.key(), a.task, func(context.Context) Result { return Result{Value: a.value(2), Discard: true} }).Err
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inSea(t, -1, func(t *testing.T, h *history, all []*program) {
				a, b := all[0], all[1]
				b.wants(t, "first", 1, 1, 1)
				if test.name != "a computation" && test.name != "a computation that discards" {
					a.wants(t, "first", 1, 1, 1)
				}
				if err := test.write(a); err != nil {
					t.Fatal(err)
				}
				if test.other {
					b.wants(t, "the other version", 3, 1, 0)
				} else {
					b.wants(t, "the other version", 3, 3, 1)
				}
			}, 0, 1)
		})
	}
}

// The other version's value is what it was, whatever it is: one that says that there is none, one that is compressed, one in
// other groups, one that is refreshed.
func TestVersions_Kept(t *testing.T) {
	inSea(t, time.Hour, func(t *testing.T, h *history, all []*program) {
		a, b := all[0], all[1]
		ctx := context.Background()
		b.task.Many = true
		key := b.key()
		absent := func(context.Context, []int) []Result { return []Result{{Negative: true, Timeout: time.Hour}} }
		fetch := func() any {
			results := make([]Result, 1)
			misses := b.store.LookupMany(ctx, []Key{key}, b.task, nil, func(int) any { return reflect.New(seaVersions[1]).Interface() }, func(_ int, v any) { results[0].Value = v })
			b.store.FetchMisses(ctx, misses, results, absent)
			if results[0].Negative {
				return Negative
			}
			return results[0].Value
		}
		if fetch() != Negative {
			t.Fatal("there is a value")
		}
		a.wants(t, "beside that there is none", 1, 1, 1)
		if fetch() != Negative || b.runs() != 1 {
			t.Errorf("that there is none was lost, with %d runs", b.runs())
		}
		a.wants(t, "the other's", 2, 1, 0)

		// A refresh under way.
		if err := b.store.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		b.task.Many = false
		b.store.Fetch(ctx, b.key(), b.task, b.takes(0, 3, 100*time.Millisecond))
		a.wants(t, "before a refresh", 3, 3, 1)
		time.Sleep(200 * time.Millisecond)
		if r := b.store.Fetch(ctx, b.key(), b.task, b.takes(time.Minute, 4, time.Hour)); reflect.ValueOf(r.Value).Elem().Field(0).Int() != 3 {
			t.Errorf("the stale value: %+v", r)
		}
		time.Sleep(time.Second)
		a.store.Force(ctx, key, a.task, func(context.Context) Result { return Result{Err: errors.New("no")} })
		a.wants(t, "beside a refresh", 5, 3, 0)
		time.Sleep(2 * time.Minute)
		b.wants(t, "after its refresh", 5, 4, 0)
		a.wants(t, "after the other's refresh", 5, 3, 0)
	}, 0, 1)
}

// A frame has two values at most, and one lease besides.
func TestVersions_Bounded(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		a, b, c := all[0], all[1], all[2]
		a.wants(t, "the first", 1, 1, 1)
		b.wants(t, "the second", 1, 1, 1)
		if r := c.store.Fetch(context.Background(), c.key(), c.task, func(context.Context) Result {
			a.wants(t, "the first beside the third's lease", 1, 1, 0)
			b.wants(t, "the second beside the third's lease", 1, 1, 0)
			return Result{Err: errors.New("no")}
		}); r.Err == nil {
			t.Error("no error")
		}
		a.wants(t, "the first after the third has failed", 1, 1, 0)
		b.wants(t, "the second after the third has failed", 1, 1, 0)
		c.wants(t, "the third", 1, 1, 1)
		b.wants(t, "the second after the third", 2, 1, 0)
		a.wants(t, "the first, which was stored first", 2, 2, 1)
		c.wants(t, "the third after that", 2, 1, 0)
		var e entry.Entry
		item, _ := h.sea.get(a.key().stored)
		if err := e.Parse(item); err != nil {
			t.Error(err)
		}
	}, 0, 1, 2)
}
