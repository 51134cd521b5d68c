package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// asked is a server that bounds its requests itself, and notes how long it was given for the last one and how many there were.
type asked struct {
	engine.Engine
	given    time.Duration // 0: for ever
	requests int
}

func (*asked) Traits() engine.Traits { return engine.Traits{KeepsTime: true} }

func (a *asked) note(ctx context.Context) {
	a.given, a.requests = 0, a.requests+1
	if deadline, ends := ctx.Deadline(); ends {
		a.given = time.Until(deadline)
	}
}

func (a *asked) Get(ctx context.Context, key string) (engine.Item, error) {
	a.note(ctx)
	return a.Engine.Get(ctx, key)
}

func (a *asked) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	a.note(ctx)
	return a.Engine.GetMany(ctx, keys)
}

func onAsked(t *testing.T) (*Store, *asked) {
	e, err := locmem.Open(engine.Settings{Location: []string{t.Name()}})
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{Engine: e}
	c := New(Config{Name: "asked", Engine: a, Timeout: time.Hour, Version: "1", Lease: time.Minute, OperationTimeout: time.Minute})
	t.Cleanup(func() { c.Close() })
	return c, a
}

// A lookup of many keys, whose reply may take longer than one operation, leaves its caller half of the time for the
// function. One of a single key has the end that the engine gives it.
func TestBounds_OfALookup(t *testing.T) {
	c, a := onAsked(t)
	task := NewTask("f", reflect.TypeFor[int](), false)
	one := func(ctx context.Context) { c.Lookup(ctx, append(c.AppendPrefix(nil), 'a'), nil, task) }
	many := func(ctx context.Context) {
		c.LookupMany(ctx, []Key{c.Key("a"), c.Key("b")}, task, nil, func(int) any { return new(int) }, func(int, any) {})
	}
	for _, test := range []struct {
		name        string
		lookup      func(context.Context)
		left        time.Duration // of the caller's
		atMost, all time.Duration // that the engine is given; 0: for ever
	}{
		{"one key without an end", one, 0, 0, 0},
		{"many keys without an end", many, 0, 0, 0},
		{"one key with much time", one, time.Hour, time.Hour, 59 * time.Minute},
		{"many keys with much time", many, time.Hour, 30 * time.Minute, 29 * time.Minute},
		{"one key with little", one, time.Minute, 30 * time.Second, 20 * time.Second},
		{"many keys with little", many, time.Minute, 30 * time.Second, 20 * time.Second},
	} {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if test.left > 0 {
			ctx, cancel = context.WithTimeout(ctx, test.left)
		}
		test.lookup(ctx)
		cancel()
		if a.given > test.atMost || a.given < test.all {
			t.Errorf("%s: the engine was given %v, want %v to %v", test.name, a.given, test.all, test.atMost)
		}
	}
}

// Nothing is stored in more groups than an entry can be in, and no group is given a generation for it.
func TestBounds_OfGroups(t *testing.T) {
	c, a := onAsked(t)
	var groups []string
	for i := range MaxGroups + 1 {
		groups = append(groups, fmt.Sprint("g", i))
	}
	ctx := context.Background()
	err := c.Set(ctx, c.Key("k", groups...), 1, time.Hour)
	if !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "1001 groups") {
		t.Errorf("got %v, want ErrArguments", err)
	}
	for _, group := range []string{groups[0], groups[MaxGroups]} {
		if item, err := a.Engine.Get(ctx, c.groupKey(group)); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("the group %s is there: %v, %v", group, item, err)
		}
	}
	if err := c.Set(ctx, c.Key("k", groups[:MaxGroups]...), 1, time.Hour); err != nil {
		t.Error(err)
	}
}
