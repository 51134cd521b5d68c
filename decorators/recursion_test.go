package decorators_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

func TestRecursion(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("other arguments", func(t *testing.T) {
			var fib func(int) int
			fib, _ = decorators.Cached(func(n int) int {
				if n < 2 {
					return n
				}
				return fib(n-1) + fib(n-2)
			}, decorators.Key("fib"))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if got := fib(40); got != 102334155 {
						t.Errorf("fib(40) = %d", got)
					}
				})
			}
			wg.Wait()
		})
		t.Run("same arguments, without context", func(t *testing.T) {
			var f func(int) int
			f, _ = decorators.Cached(func(n int) int { return f(n) }, decorators.Key("same"))
			defer func() {
				err, _ := recover().(error)
				if !errors.Is(err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want a panic with ErrRecursion", err)
				}
			}()
			f(1)
		})
		t.Run("same arguments, with an error", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) { return f(ctx, n) }, decorators.Key("same err"))
			for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
				if _, err := f(ctx, 1); !errors.Is(err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want ErrRecursion", err)
				}
			}
		})
		t.Run("same arguments, context lost", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) { return f(context.Background(), n) }, decorators.Key("same lost"))
			if _, err := f(cancellable(t), 1); !errors.Is(err, cacheutils.ErrRecursion) {
				t.Errorf("got %v, want ErrRecursion", err)
			}
		})
		t.Run("same arguments, from a goroutine", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) {
				a := <-ask(func() (int, error) { return f(ctx, n) })
				return a.run, a.err
			}, decorators.Key("same goroutine"))
			if _, err := f(context.Background(), 1); !errors.Is(err, cacheutils.ErrRecursion) {
				t.Errorf("got %v, want ErrRecursion", err)
			}
		})
		t.Run("a circle of two callers", func(t *testing.T) {
			// 1 needs 2 and 2 needs 1, and both are under way before either calls the other.
			var f func(context.Context, int) (int, error)
			var both sync.WaitGroup
			both.Add(2)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) {
				both.Done()
				both.Wait()
				return f(ctx, 3-n)
			}, decorators.Key("circle"))
			one := ask(func() (int, error) { return f(context.Background(), 1) })
			two := ask(func() (int, error) { return f(context.Background(), 2) })
			for _, c := range []<-chan answer{one, two} {
				if a := within(t, "a caller", c); !errors.Is(a.err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want ErrRecursion", a.err)
				}
			}
		})
	})
}
