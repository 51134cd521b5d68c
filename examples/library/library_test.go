package library_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/library"
)

func Example() {
	ctx := context.Background()
	find := func(ctx context.Context, place string) (library.Position, error) {
		fmt.Println("finding", place)
		return library.Position{Lat: 41.9, Lon: 12.5}, nil
	}
	client, err := library.New(find, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Println(client.Position(ctx, "Roma"))
	fmt.Println(client.Position(ctx, "Roma"))
	fmt.Println(client.Forget(ctx, "Roma"))
	fmt.Println(client.Position(ctx, "Roma"))
	// Output:
	// finding Roma
	// {41.9 12.5} <nil>
	// {41.9 12.5} <nil>
	// <nil>
	// finding Roma
	// {41.9 12.5} <nil>
}

// at returns a Finder that finds everything at a latitude, and counts its calls.
func at(lat float64, calls *int) library.Finder {
	return func(context.Context, string) (library.Position, error) {
		*calls++
		return library.Position{Lat: lat}, nil
	}
}

func newClient(t *testing.T, find library.Finder, set *backends.Caches) *library.Client {
	t.Helper()
	c, err := library.New(find, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantPosition(t *testing.T, c *library.Client, lat float64) {
	t.Helper()
	if got, err := c.Position(t.Context(), "Roma"); err != nil || got.Lat != lat {
		t.Errorf("got %v, %v, want the latitude %v", got, err, lat)
	}
}

var programFunc, _ = decorators.Cached1(func(ctx context.Context, id int) (int, error) { return id, nil }, decorators.Key("program.func"))

// A program configures what it wants, as often as it wants, and closes it: the library goes on.
func TestProgramsConfigure(t *testing.T) {
	calls := 0
	c := newClient(t, at(41.9, &calls), nil)
	wantPosition(t, c, 41.9)
	for _, config := range []backends.Config{{"default": {Backend: "dummy"}}, {"sessions": {Backend: "locmem"}}, nil} {
		if err := backends.Configure(config); err != nil {
			t.Errorf("the program's settings %v: %v", config, err)
		}
		wantPosition(t, c, 41.9)
	}
	if err := backends.Check(); err != nil {
		t.Error(err)
	}
	if got, err := programFunc(t.Context(), 1); got != 1 || err != nil {
		t.Errorf("the program's own function: got %d, %v", got, err)
	}
	if err := backends.Close(); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { backends.Configure(nil) })
	wantPosition(t, c, 41.9)
	if calls != 1 {
		t.Errorf("found %d times, want once", calls)
	}
}

// Two clients have a set each, and so places of their own.
func TestTwoClients(t *testing.T) {
	var calls int
	north, south := newClient(t, at(60, &calls), nil), newClient(t, at(-60, &calls), nil)
	wantPosition(t, north, 60)
	wantPosition(t, south, -60)
	wantPosition(t, north, 60)
	if calls != 2 {
		t.Errorf("found %d times, want 2", calls)
	}
}

// A client of a set that it was given doesn't close it.
func TestSetOfTheProgram(t *testing.T) {
	set := cachetest.New(t)
	calls := 0
	c := newClient(t, at(1, &calls), set)
	wantPosition(t, c, 1)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wantPosition(t, c, 1)
	if calls != 1 {
		t.Errorf("found %d times, want once", calls)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Forget(t.Context(), "Roma"); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	wantPosition(t, c, 1) // a call goes on without the cache
}
