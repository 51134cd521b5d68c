package store

import (
	"context"
	"errors"
	"reflect"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/logging"
)

// A lease ends in one way: decide says what with, settle carries it out and notes what has become of it, by
// lease.finish, which is the only one to write.

// decide says what the lease is to end with after the computation's result.
func (m *computation) decide() (e ending) {
	c, r := m.store, &m.result
	timeout, stale := c.timeoutOf(r.Timeout), c.staleFor(m.task)
	switch {
	case m.failed(), m.changed, m.cut && m.task.DropIfEnded:
		if e.fails = m.IsRefresh(); e.fails {
			c.valueFault(m.task, "recompute a stale result of ", m.why())
		}
	case r.Discard || timeout <= 0:
		e.drops = true
	case r.Negative:
		e.entry, e.stores, stale = c.sealer.Negative(m.key.check, m.task.typ), true, 0
	default:
		e.entry, e.stores = m.seal()
		e.drops = !e.stores
		if e.entry.Error = r.Error; r.Error != nil {
			stale = 0
		}
	}
	e.alone = m.IsForced()
	if e.stores {
		e.entry.Groups = m.lease.groups
		e.keep = e.entry.Stamp(c.now(), timeout, stale)
	}
	e.tick = c.flights.Tick()
	return e
}

// seal makes the entry for the value of the result. A value that can't be encoded is
// not stored, which is logged and goes no further.
func (m *computation) seal() (e entry.Entry, ok bool) {
	c, t, p := m.store, m.task.typ, m.result.Value
	var err error
	switch {
	case m.task.plain:
		if t.Type().Kind() == reflect.Interface { // stored as Set would
			t, p = entry.Box(reflect.ValueOf(p).Elem().Interface())
		}
		e, err = c.sealer.SealPlain(m.key.check, len(m.key.groups) > 0, t, p)
	case !c.sealer.HoldsLive(t, m.task.shared) && !m.encode():
		return e, false
	default:
		e, err = c.sealer.Seal(m.key.check, t, p, m.task.shared, m.payload)
	}
	if err != nil {
		c.refusal(m.task, "encode a result of ", err)
	}
	c.unsized(m.task, e.Hidden)
	return e, err == nil
}

// settle ends the lease. If that was held and the groups have not changed, the outcome is for all who
// started before the ending's tick.
func (m *computation) settle(ctx context.Context, e *ending) {
	c := m.store
	step, done := m.step(ctx)
	held, err := m.lease.finish(step, e)
	switch {
	case !e.stores:
		if err != nil {
			m.unasked = true
			c.taskFault(m.task, "give back the lease for ", err)
		}
	case errors.Is(err, cacheutils.ErrTooLarge): // says the store, which was there
		c.refusal(m.task, "store a result of ", err)
		err = nil
	case err != nil:
		m.unasked = true
		c.taskFault(m.task, "store a result of ", err)
	case held:
		m.stored = true
		m.task.Stats.Stores.Add(1)
		c.debug(logging.ActionSet, m.key, e.entry.Cost)
	default:
		m.task.Stats.Refusals.Add(1)
		if m.task.plain {
			m.useStored(step)
		}
	}
	done(err)
	if held && !m.failed() && !m.isPrivate() {
		m.Valid = e.tick
	}
}

// useStored makes a value that somebody has stored meanwhile the result. Under a lease stands one from before that: a forced
// computation has begun later than that, perhaps.
func (m *computation) useStored(ctx context.Context) {
	f := m.task.lookingFor()
	if err := m.store.lookup(ctx, &f, m.key); err != nil || f.state != entry.Fresh || m.IsForced() && f.entry.Holder != (entry.Token{}) {
		return
	}
	value := m.store.value(&f, nil, m.task.typ, m.task.shared)
	if value == nil {
		return
	}
	m.replaced = &stored{value: value}
	if m.needsCopies() {
		m.replaced.payload, _ = entry.Encode([]byte{}, m.task.typ, value)
	}
}
