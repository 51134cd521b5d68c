package store

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// A clocked engine is one outside of this process that has a clock of its own.
type clocked struct {
	engine.Engine
	now time.Time
}

func (*clocked) Traits() engine.Traits { return engine.Traits{} }
func (c *clocked) Now() time.Time      { return c.now }

// Entries age by the clock of the engine, where it has one, and by no other.
func TestClock(t *testing.T) {
	ctx := context.Background()
	live := leasing(t)
	e := &clocked{Engine: live.Engine, now: time.Now().Add(-1000 * time.Hour)}
	config := live.Config
	config.Engine, config.Stale = e, time.Minute
	c := New(config)
	if err := c.Set(ctx, c.Key("plain", "g"), "v", 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	task := NewTask("f", anyType.Type(), false)
	key := c.Key("k")
	var value any = "v"
	if err := c.Put(ctx, key, task, &value, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	began := e.now
	for _, step := range []struct {
		after time.Duration
		want  entry.State
		there bool
	}{
		{0, entry.Fresh, true},
		{10*time.Minute - time.Millisecond, entry.Fresh, true},
		{10 * time.Minute, entry.Stale, false},
		{11 * time.Minute, entry.Dead, false},
		{-time.Minute, entry.Fresh, true}, // the clock is put back
	} {
		e.now = began.Add(step.after)
		f := task.lookingFor()
		if err := c.lookup(ctx, &f, &key); err != nil || f.state != step.want {
			t.Errorf("after %v the result is in state %v, %v, want %v", step.after, f.state, err, step.want)
		}
		if there, err := c.Has(ctx, c.Key("plain", "g")); there != step.there || err != nil {
			t.Errorf("after %v it is %v that the value is there, %v, want %v", step.after, there, err, step.there)
		}
	}
}
