// Command service answers over HTTP from a repository whose reads are cached:
//
//	go run -C examples ./service
//	curl 'localhost:8080/city/42?lang=en'
//	curl -X PUT 'localhost:8080/city/42?lang=en&name=Roma'
//
// With CACHE_URL=memcached://127.0.0.1:11211?invalidation_replay=1000 all processes that are started so share what is
// cached, and none of them answers with a name that another one has changed. See docs/methods.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cacheutils/cacheutils/backends"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "the `address` to serve on")
	file := flag.String("database", filepath.Join(os.TempDir(), "cities.json"), "the `file` of the database")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *file); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, listen, file string) error {
	if err := configure(ctx, os.Getenv("CACHE_URL")); err != nil {
		return err
	}
	defer backends.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: routes(NewRepo(&Database{file: file}))}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ending)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// configure has results kept where the URL says, or in memory if there is none.
func configure(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	settings, err := backends.ParseURL(url)
	if err != nil {
		return err
	}
	if err := backends.Configure(backends.Config{"default": settings}); err != nil {
		return err
	}
	c, err := backends.Get("default")
	if err != nil {
		return err
	}
	if err := c.Ping(ctx); err != nil {
		log.Printf("starting without the cache: %v", err)
	}
	return nil
}

func routes(repo *Repo) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /city/{id}", func(w http.ResponseWriter, q *http.Request) {
		id, ok := cityID(w, q)
		if !ok {
			return
		}
		city, err := repo.City(q.Context(), id, q.FormValue("lang"))
		if err != nil {
			fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(city)
	})
	mux.HandleFunc("PUT /city/{id}", func(w http.ResponseWriter, q *http.Request) {
		id, ok := cityID(w, q)
		if !ok {
			return
		}
		if err := repo.Rename(q.Context(), id, q.FormValue("lang"), q.FormValue("name")); err != nil {
			fail(w, err)
		}
	})
	// For a readiness probe. It doesn't ask the cache, without which the service works, too.
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, q *http.Request) {})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, q *http.Request) {
		json.NewEncoder(w).Encode(repo.cities.Stats())
	})
	return mux
}

func cityID(w http.ResponseWriter, q *http.Request) (id int64, ok bool) {
	id, err := strconv.ParseInt(q.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the id is not a number", http.StatusBadRequest)
	}
	return id, err == nil
}

func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNoCity) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	log.Print(err)
	http.Error(w, "something is broken", http.StatusInternalServerError)
}
