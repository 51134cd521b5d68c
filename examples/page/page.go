// Package page caches the responses of an http.Handler. See docs/http.md.
package page

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/decorators"
)

// A Response is what a handler has written.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// isPrivate reports whether a response is for nobody but the client that has asked for it.
func (r Response) isPrivate() bool {
	return r.Status != http.StatusOK || r.Header.Get("Set-Cookie") != ""
}

// A visit is a request, and whether a response was made for it.
type visit struct {
	*http.Request
	served atomic.Bool
}

// Pages are the responses that are cached.
type Pages struct {
	handle *decorators.Handle1[*visit, Response]
}

// Invalidate drops the response to a request like r.
func (p *Pages) Invalidate(ctx context.Context, r *http.Request) error {
	return p.handle.Invalidate(ctx, &visit{Request: r})
}

// Stats counts what this process did.
func (p *Pages) Stats() decorators.Stats { return p.handle.Stats() }

// Cached returns a handler that serves what next has written in answer to a GET request of the same host, path, query, and
// headers named in vary. Nothing besides those may matter to next: no cookie, and not who has logged in. Requests
// with an Authorization go to next, and so do those that aren't GET. What has another status than 200, or sets a cookie, is
// not cached.
func Cached(name string, next http.Handler, vary []string, opts ...decorators.Option) (http.Handler, *Pages) {
	what := func(_ context.Context, v *visit) (host, path, query string, headers []string) {
		for _, name := range vary {
			headers = append(headers, v.Header.Get(name))
		}
		return v.Host, v.URL.Path, v.URL.Query().Encode(), headers // a=1&b=2 is b=2&a=1
	}
	respond := func(ctx context.Context, v *visit) (Response, error) {
		v.served.Store(true)
		rec := &recorder{header: make(http.Header), status: http.StatusOK}
		next.ServeHTTP(rec, v.Clone(ctx)) // ctx goes on when this client has gone, and another one waits
		return Response{rec.status, rec.header, rec.body.Bytes()}, nil
	}
	opts = append([]decorators.Option{decorators.Key("page-" + name), decorators.KeyOf(what), decorators.Unless(Response.isPrivate)}, opts...)
	response, handle := decorators.Cached1(respond, opts...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
			next.ServeHTTP(w, r)
			return
		}
		v := &visit{Request: r}
		page, err := response(r.Context(), v)
		switch {
		case err != nil: // the client has gone
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		case page.isPrivate() && !v.served.Load(): // those who wait at the same time are given the same response
			next.ServeHTTP(w, r)
			return
		}
		for name, values := range page.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(page.Status)
		w.Write(page.Body)
	}), &Pages{handle}
}

// A recorder is an http.ResponseWriter that keeps what is written.
type recorder struct {
	header  http.Header
	status  int
	started bool
	body    bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.started && status >= 200 { // others come before the response
		r.status, r.started = status, true
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.started = true
	return r.body.Write(p)
}
