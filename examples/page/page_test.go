package page_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/page"
)

func Example() {
	search := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("searching", r.FormValue("q"))
		fmt.Fprintln(w, "1 result for", r.FormValue("q"))
	})
	handler, pages := page.Cached("search", search, []string{"Accept-Language"}, decorators.Timeout(time.Minute))
	get := func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/search?q=roma", nil))
		fmt.Print(w.Body)
	}
	get()
	get()
	fmt.Println(pages.Invalidate(context.Background(), httptest.NewRequest("GET", "/search?q=roma", nil)))
	get()
	// Output:
	// searching roma
	// 1 result for roma
	// 1 result for roma
	// <nil>
	// searching roma
	// 1 result for roma
}

func TestWhatIsCached(t *testing.T) {
	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%d", served.Add(1))
	})
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		fmt.Fprintf(w, "%d", served.Add(1))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%d", served.Add(1))
	})
	handler, _ := page.Cached("what", mux, []string{"Accept-Language"}, decorators.On(cachetest.New(t)))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	get := func(method, url string, header ...string) (status int, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, url string
		header      []string
		status      int
		body        string // how many responses the handlers had written by then
	}{
		{"GET", "/page?a=1&b=2", nil, 200, "1"},
		{"GET", "/page?a=1&b=2", nil, 200, "1"},
		{"GET", "/page?b=2&a=1", nil, 200, "1"},
		{"GET", "/page?a=2", nil, 200, "2"},
		{"GET", "/page?a=2", []string{"Accept-Language", "it"}, 200, "3"},
		{"GET", "/page?a=2", []string{"Accept-Language", "it"}, 200, "3"},
		{"GET", "/page?a=2", []string{"User-Agent", "another"}, 200, "2"},
		{"POST", "/page?a=2", nil, 200, "4"},
		{"GET", "/page?a=2", []string{"Authorization", "me"}, 200, "5"},
		{"GET", "/page?a=2", nil, 200, "2"},
		{"GET", "/cookie", nil, 200, "6"},
		{"GET", "/cookie", nil, 200, "7"},
		{"GET", "/broken", nil, 500, "8"},
		{"GET", "/broken", nil, 500, "9"},
	} {
		if status, body := get(c.method, c.url, c.header...); status != c.status || body != c.body {
			t.Errorf("%s %s with %q: got %d %s, want %d %s", c.method, c.url, c.header, status, body, c.status, c.body)
		}
	}
}

// A request under Refresh has the page made again, for those after it, too.
func TestRefresh(t *testing.T) {
	served := 0
	handler, _ := page.Cached("refresh", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		fmt.Fprint(w, served)
	}), nil, decorators.On(cachetest.New(t)))
	for i, c := range []struct {
		ctx  context.Context
		want string
	}{
		{t.Context(), "1"}, {t.Context(), "1"}, {cacheutils.Refresh(t.Context()), "2"}, {t.Context(), "2"}, {cacheutils.Bypass(t.Context()), "3"}, {t.Context(), "2"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(c.ctx, "GET", "/", nil))
		if got := w.Body.String(); got != c.want {
			t.Errorf("request %d: got %s, want %s", i, got, c.want)
		}
	}
}

// A client that goes away takes the page from nobody who waits for it.
func TestClientLeaves(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	handler, pages := page.Cached("slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		select {
		case <-goOn:
			fmt.Fprint(w, "done")
		case <-r.Context().Done():
			http.Error(w, "the client has gone", http.StatusServiceUnavailable)
		}
	}), nil, decorators.On(cachetest.New(t)))
	serve := func(ctx context.Context) <-chan string {
		done := make(chan string, 1)
		go func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/slow", nil))
			done <- w.Body.String()
		}()
		return done
	}
	ctx, leave := context.WithCancel(t.Context())
	first := serve(ctx)
	<-started
	second := serve(t.Context())
	for pages.Stats().Joins == 0 { // until it waits
		time.Sleep(time.Millisecond)
	}
	leave()
	<-first
	close(goOn)
	if got := <-second; got != "done" {
		t.Errorf("the second client got %q", got)
	}
}

// Clients that ask at the same time are given one response, unless it is private.
func TestPrivateResponses(t *testing.T) {
	var pages *page.Pages
	handler, pages := page.Cached("private", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for pages.Stats().Joins == 0 { // until the other client waits
			time.Sleep(time.Millisecond)
		}
		http.SetCookie(w, &http.Cookie{Name: "client", Value: r.Header.Get("Client")})
	}), nil, decorators.On(cachetest.New(t)))
	var both sync.WaitGroup
	for _, client := range []string{"a", "b"} {
		both.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Header.Set("Client", client)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got, want := w.Header().Get("Set-Cookie"), "client="+client; got != want {
				t.Errorf("client %s got the cookie %q", client, got)
			}
		})
	}
	both.Wait()
}

// A handler that aborts its response aborts it through the cache, and the server logs nothing, as ever.
func TestAbort(t *testing.T) {
	var logged bytes.Buffer
	handler, _ := page.Cached("abort", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil, decorators.On(cachetest.New(t)))
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(&logged, "", 0)
	server.Start()
	if response, err := http.Get(server.URL); err == nil {
		response.Body.Close()
		t.Errorf("got %s, want a connection that was closed", response.Status)
	}
	server.Close() // waits for the handler
	if logged.Len() > 0 {
		t.Errorf("the server logged:\n%s", logged.String())
	}
}
