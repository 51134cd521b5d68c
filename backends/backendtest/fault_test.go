package backendtest_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/backendtest"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// A sound engine is locmem that holds bytes only. Each of the other engines here embeds it and
// has one fault.
type sound struct{ engine.Engine }

func (e sound) Traits() engine.Traits { return engine.Traits{} }

type (
	inventsItems    struct{ sound }
	addOverwrites   struct{ sound }
	swapsAlways     struct{ sound }
	swapsWhatIsGone struct{ sound }
	deletesAlways   struct{ sound }
	racyIncr        struct{ sound }
	incrDropsFlags  struct{ sound }
	truncates       struct{ sound }
	keepsItsEnd     struct{ sound }
	over30Days      struct{ sound }
	clearsNothing   struct{ sound }
	clearsTooMuch   struct{ sound }
	clearsTooLittle struct{ sound }
	manyDropsFlags  struct{ sound }
	borrowsKeys     struct{ sound }
	ignoresContext  struct{ sound }
	comesBack       struct{ sound }
	closesOnce      struct {
		sound
		closed *bool
	}
	saysOtherwise struct{ sound }
	clearsClosed  struct{ sound }
)

func (e inventsItems) Get(ctx context.Context, key string) (engine.Item, error) {
	item, err := e.sound.Get(ctx, key)
	if errors.Is(err, cacheutils.ErrCacheMiss) {
		err = nil
	}
	return item, err
}

// comeInBetween lets other goroutines have their turn within an operation that is racy.
func comeInBetween() { time.Sleep(10 * time.Microsecond) }

func (e addOverwrites) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	comeInBetween()
	return true, e.Set(ctx, key, item, timeout)
}

func (e swapsAlways) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if _, err := e.Get(ctx, key); err != nil {
		return false, nil
	}
	comeInBetween()
	return true, e.Set(ctx, key, item, timeout)
}

func (e swapsWhatIsGone) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if _, err := e.Get(ctx, key); errors.Is(err, cacheutils.ErrCacheMiss) {
		return true, e.Set(ctx, key, item, timeout)
	}
	return e.sound.CompareAndSwap(ctx, key, item, timeout)
}

func (e deletesAlways) Delete(ctx context.Context, key string) (bool, error) {
	_, err := e.sound.Delete(ctx, key)
	return true, err
}

func (e racyIncr) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	item, err := e.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(item.Value), 10, 64)
	if err != nil {
		return 0, cacheutils.ErrNotNumber
	}
	item.Value = strconv.AppendInt(nil, n+delta, 10)
	comeInBetween()
	return n + delta, e.Set(ctx, key, item, time.Hour)
}

func (e incrDropsFlags) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	n, err := e.sound.Incr(ctx, key, delta)
	if err != nil {
		return 0, err
	}
	return n, e.Set(ctx, key, engine.Item{Value: strconv.AppendInt(nil, n, 10)}, time.Hour)
}

func (e truncates) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	if timeout = timeout.Truncate(time.Second); timeout == 0 {
		_, err := e.Delete(ctx, key)
		return err
	}
	return e.sound.Set(ctx, key, item, timeout)
}

func (e keepsItsEnd) CompareAndSwap(ctx context.Context, key string, item engine.Item, _ time.Duration) (bool, error) {
	is, err := e.Get(ctx, key)
	if errors.Is(err, cacheutils.ErrCacheMiss) {
		return false, nil
	}
	return err == nil && is.CAS == item.CAS, err
}

func (e over30Days) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	if timeout > 30*24*time.Hour && timeout != cacheutils.Forever {
		timeout = 1
	}
	return e.sound.Set(ctx, key, item, timeout)
}

func (e clearsTooMuch) Clear(ctx context.Context, prefix string) error {
	return e.sound.Clear(ctx, strings.TrimSuffix(prefix, ":"))
}

func (e clearsTooLittle) Clear(ctx context.Context, prefix string) error {
	if prefix != "" {
		prefix += "1:"
	}
	return e.sound.Clear(ctx, prefix)
}

func (clearsNothing) Clear(ctx context.Context, prefix string) error { return ctx.Err() }

func (e manyDropsFlags) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	found, err := e.sound.GetMany(ctx, keys)
	for key, item := range found {
		item.Flags = 0
		found[key] = item
	}
	return found, err
}

func (e borrowsKeys) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	found := map[string]engine.Item{}
	for _, key := range keys {
		if item, err := e.Get(ctx, key); err == nil {
			found[key] = item
		}
	}
	return found, ctx.Err()
}

func (e ignoresContext) Get(ctx context.Context, key string) (engine.Item, error) {
	return e.sound.Get(context.WithoutCancel(ctx), key)
}

func (e *comesBack) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	err := e.sound.Set(ctx, key, item, timeout)
	if errors.Is(err, cacheutils.ErrClosed) {
		e.Engine, _ = open(engine.Settings{})
		err = e.sound.Set(ctx, key, item, timeout)
	}
	return err
}

func (e closesOnce) Close() error {
	if *e.closed {
		return cacheutils.ErrClosed
	}
	*e.closed = true
	return e.sound.Close()
}

func (e saysOtherwise) Get(ctx context.Context, key string) (engine.Item, error) {
	item, err := e.sound.Get(ctx, key)
	if errors.Is(err, cacheutils.ErrClosed) {
		err = os.ErrClosed
	}
	return item, err
}

func (e clearsClosed) Clear(ctx context.Context, prefix string) error {
	err := e.sound.Clear(ctx, prefix)
	if errors.Is(err, cacheutils.ErrClosed) {
		other, _ := open(engine.Settings{})
		defer other.Close()
		other.Clear(ctx, prefix)
	}
	return err
}

// faults are the subtests of Run that find them.
var faults = []struct {
	finder string
	engine func(sound) engine.Engine
}{
	{"", func(e sound) engine.Engine { return e }},
	{"Engine_NothingThere", func(e sound) engine.Engine { return inventsItems{e} }},
	{"AddLeavesWhatIsThere", func(e sound) engine.Engine { return addOverwrites{e} }},
	{"Engine_AddIsExclusive", func(e sound) engine.Engine { return addOverwrites{e} }},
	{"Engine_CompareAndSwap", func(e sound) engine.Engine { return swapsAlways{e} }},
	{"Engine_CompareAndSwapIsExclusive", func(e sound) engine.Engine { return swapsAlways{e} }},
	{"Engine_NothingThere", func(e sound) engine.Engine { return swapsWhatIsGone{e} }},
	{"DeleteReportsWhatWasThere", func(e sound) engine.Engine { return deletesAlways{e} }},
	{"IncrIsAtomic", func(e sound) engine.Engine { return racyIncr{e} }},
	{"Engine_Incr", func(e sound) engine.Engine { return incrDropsFlags{e} }},
	{"FractionsOfASecond", func(e sound) engine.Engine { return truncates{e} }},
	{"Waiting/Engine_SwapProlongs", func(e sound) engine.Engine { return keepsItsEnd{e} }},
	{"Waiting/Engine_SwapShortens", func(e sound) engine.Engine { return keepsItsEnd{e} }},
	{"AgreeOnOneGeneration", func(e sound) engine.Engine { return addOverwrites{e} }},

	{"Waiting/SetOver30Days", func(e sound) engine.Engine { return over30Days{e} }},
	{"Clear", func(e sound) engine.Engine { return clearsNothing{e} }},
	{"Engine_GetMany", func(e sound) engine.Engine { return manyDropsFlags{e} }},
	{"Engine_KeysAreOnlyBorrowed", func(e sound) engine.Engine { return borrowsKeys{e} }},
	{"Engine_EndedContext", func(e sound) engine.Engine { return ignoresContext{e} }},
	{"Engine_UseAfterClose", func(e sound) engine.Engine { return &comesBack{e} }},
	{"Engine_ClearPrefix", func(e sound) engine.Engine { return clearsTooMuch{e} }},
	{"Engine_ClearPrefix", func(e sound) engine.Engine { return clearsTooLittle{e} }},
	{"Cache_ClearIsForOnePrefix", func(e sound) engine.Engine { return clearsTooLittle{e} }},
	{"Engine_UseAfterClose", func(e sound) engine.Engine { return closesOnce{e, new(bool)} }},
	{"Engine_UseAfterClose", func(e sound) engine.Engine { return saysOtherwise{e} }},
	{"Engine_UseAfterClose", func(e sound) engine.Engine { return clearsClosed{e} }},
	{"Engine_CloseWhileInUse", func(e sound) engine.Engine { return saysOtherwise{e} }},
}

func open(s engine.Settings) (engine.Engine, error) {
	s.Location = []string{"faulty"}
	return locmem.Open(s)
}

func TestFaultyEngine(t *testing.T) {
	var n int // of faults
	if !workers.Job(&n) {
		t.Skip("TestRunFindsFaults runs this in processes of their own")
	}
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		e, err := open(s)
		if err != nil {
			return nil, err
		}
		return faults[n].engine(sound{e}), nil
	})
}

func TestRunFindsFaults(t *testing.T) {
	for i, fault := range faults {
		name := fault.finder
		if name == "" {
			name = "none"
		}
		t.Run(name, func(t *testing.T) {
			w := workers.Start(t, workers.Pattern(strings.TrimSuffix("TestFaultyEngine/"+fault.finder, "/")), i)
			err := w.Wait()
			output := w.Output()
			found := strings.Contains(output, "--- FAIL: TestFaultyEngine/"+fault.finder)
			switch {
			case fault.finder == "" && err != nil:
				t.Errorf("a sound engine: got %v, want no failures\n%s", err, output)
			case fault.finder != "" && !found:
				t.Errorf("got %v, want a failure of %s\n%s", err, fault.finder, output)
			}
		})
	}
}
