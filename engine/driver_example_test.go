package engine_test

import (
	"errors"
	"fmt"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

func openShelf(s engine.Settings) (engine.Engine, error) {
	r := engine.ReadOptions("shelf", s.Options)
	books := r.PositiveInt("max_books", 100)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return locmem.Open(engine.Settings{Location: s.Location, Options: map[string]any{"max_entries": books}})
}

// The package of an engine registers it, so that its users only import that.
func init() {
	engine.Register(engine.Driver{
		Names: []string{"shelf", "example.django.ShelfCache"},
		Open:  openShelf,
		Django: func(options map[string]any) (mapped map[string]any, leftOut []string) {
			mapped = map[string]any{}
			for name, value := range options {
				if name == "CULL_FREQUENCY" {
					leftOut = append(leftOut, name)
				} else {
					mapped[name] = value
				}
			}
			return mapped, leftOut
		},
	})
}

func ExampleRegister() {
	for _, d := range engine.Drivers() {
		if d.Name() == "shelf" {
			fmt.Println(d.Names, d.Schemes)
		}
	}
	// Output: [shelf example.django.ShelfCache] [shelf]
}

// An engine reads its options, and says what is wrong with them.
func ExampleReadOptions() {
	r := engine.ReadOptions("shelf", map[string]any{"MAX_BOOKS": "7", "lend": "1h", "floor": 2})
	fmt.Println(r.PositiveInt("max_books", 100), r.PositiveDuration("lend", 0))
	err := r.Err()
	fmt.Println(errors.Is(err, cacheutils.ErrConfig))
	fmt.Println(err)
	// Output:
	// 7 1h0m0s
	// true
	// cacheutils: bad configuration: shelf has no option floor; all backends have compress_above, group_prefix, key_secret, key_secret_env, lease, max_decoded_size, open_groups, operation_timeout, secret, secret_env, stale, store_later; its options are lend, max_books
}
