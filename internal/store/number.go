package store

import (
	"context"
	"errors"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// Incr adds delta, which may be negative, to the number under key and returns the sum.
func (c *Store) Incr(ctx context.Context, key Key, delta int64) (int64, error) {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	var n int64
	plain := len(key.groups) == 0 && key.check == entry.Check{} // of others a number as text could say nothing, see Sealer.SealPlain
	if plain {
		n, err = c.Engine.Incr(ctx, key.stored, delta)
	}
	if !plain || errors.Is(err, cacheutils.ErrNotNumber) {
		n, err = c.incrFrame(ctx, key, delta)
	}
	if err != nil {
		return 0, errtext.Wrap(withoutKeys(err, key.stored), "increment %s", key.String())
	}
	return n, nil
}

// incrFrame is Incr for numbers with metadata.
func (c *Store) incrFrame(ctx context.Context, key Key, delta int64) (sum int64, err error) {
	had, err := c.change(ctx, key, func(e *entry.Entry) (keep time.Duration, err error) {
		sum, err = e.Increase(c.sealer, delta)
		return e.Left(c.now()), err
	}, false)
	if err == nil && !had {
		err = cacheutils.ErrCacheMiss
	}
	return sum, err
}
