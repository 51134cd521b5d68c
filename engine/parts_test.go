package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

// A logged engine logs what is deleted.
type logged struct{ engine.Engine }

func (l logged) Unwrap() engine.Engine { return l.Engine }

func (l logged) Delete(ctx context.Context, key string) (bool, error) {
	fmt.Println("delete", key)
	return l.Engine.Delete(ctx, key)
}

// A wrapper has the servers of the engine inside, since it has an Unwrap, but not its GetEach, which would
// bypass what the wrapper does.
func ExampleAs() {
	inner, err := memcached.Open(engine.Settings{Location: []string{"10.0.0.1", "10.0.0.2"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer inner.Close()
	var e engine.Engine = logged{inner}
	if s, ok := engine.As[engine.ServerEngine](e); ok {
		fmt.Println(len(s.Servers()), "servers")
	}
	_, ok := engine.As[engine.EachGetter](e)
	fmt.Println(ok)
	// Output:
	// 2 servers
	// false
}

type hidden struct{ engine.Engine }

// A clocked engine has a clock of its own.
type clocked struct{ logged }

func (clocked) Now() time.Time { return time.Unix(1, 0) }

// checks is a wrapper with a part of its own.
type checks struct{ logged }

func (checks) CheckKey(string) error { return fmt.Errorf("its own") }

func TestAs(t *testing.T) {
	remote, err := memcached.Open(engine.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	local, err := locmem.Open(engine.Settings{Location: []string{t.Name()}})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	defer remote.Close()
	for _, test := range []struct {
		name                                     string
		e                                        engine.Engine
		servers, replays, checks, sees, getsEach bool
	}{
		{"nil", nil, false, false, false, false, false},
		{"memcached", remote, true, true, true, false, true},
		{"locmem", local, false, false, false, true, false},
		{"wrapped", logged{remote}, true, true, true, false, false},
		{"wrapped locmem", logged{local}, false, false, false, false, false},
		{"wrapped twice", logged{logged{remote}}, true, true, true, false, false},
		{"without Unwrap", hidden{remote}, false, false, false, false, false},
		{"hidden deep inside", logged{hidden{remote}}, false, false, false, false, false},
		{"around nothing", logged{}, false, false, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			is[engine.ServerEngine](t, test.e, test.servers)
			is[engine.Replayer](t, test.e, test.replays)
			is[engine.KeyChecker](t, test.e, test.checks)
			is[engine.Referrer](t, test.e, test.sees)
			is[engine.EachGetter](t, test.e, test.getsEach)
		})
	}
	if k, _ := engine.As[engine.KeyChecker](checks{logged{remote}}); k.CheckKey("k").Error() != "its own" {
		t.Error("a part of the wrapper's own is not what As finds")
	}
	is[engine.Clock](t, logged{remote}, false)
	is[engine.Clock](t, logged{clocked{logged{remote}}}, true)
	if l, ok := engine.As[logged](logged{local}); !ok || l.Engine != local {
		t.Error("As finds no type that isn't an interface")
	}
}

func is[T any](t *testing.T, e engine.Engine, want bool) {
	t.Helper()
	if _, ok := engine.As[T](e); ok != want {
		t.Errorf("As[%T]: got %v, want %v", *new(T), ok, want)
	}
}
