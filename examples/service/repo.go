package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// A City is a row.
type City struct {
	ID   int64
	Lang string
	Name string
}

// A Repo has the cities of a database. What it reads is cached.
type Repo struct {
	db     *Database
	city   func(ctx context.Context, id int64, lang string) (City, error)
	cities *decorators.Handle2[int64, string, City]
}

// NewRepo is called once in the program. With several databases the name would need an Instance.
func NewRepo(db *Database) *Repo {
	r := &Repo{db: db}
	r.city, r.cities = decorators.Cached2(r.load,
		decorators.Key("city"),
		decorators.Timeout(time.Hour),
		decorators.CacheErrors(10*time.Second, ErrNoCity), // so many requests for what isn't there don't reach the database
		decorators.GroupsOf(func(ctx context.Context, id int64, lang string) []string { return []string{cityGroup(id)} }),
	)
	return r
}

// cityGroup is the group of all that has to do with a city, in any language. Those who put results into the group and
// those who invalidate it have its name from here.
func cityGroup(id int64) string { return "city-" + strconv.FormatInt(id, 10) }

// City returns a city with its name in a language, or ErrNoCity.
func (r *Repo) City(ctx context.Context, id int64, lang string) (City, error) {
	return r.city(ctx, id, lang)
}

func (r *Repo) load(ctx context.Context, id int64, lang string) (City, error) {
	name, err := r.db.Select(ctx, id, lang)
	return City{ID: id, Lang: lang, Name: name}, err
}

// Rename gives a city another name in a language.
func (r *Repo) Rename(ctx context.Context, id int64, lang, name string) error {
	if err := r.db.Update(ctx, id, lang, name); err != nil {
		return err
	}
	// It is written, whatever becomes of the cache: a caller who is told of an error would think that it is not. With
	// the option invalidation_replay, what did not reach the server is carried out when that is back.
	if err := cache.InvalidateGroup(ctx, cityGroup(id)); err != nil {
		log.Printf("city %d may be served under its old name for an hour: %v", id, err)
	}
	return nil
}
