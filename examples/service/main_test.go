package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// TestMain is main in the processes that start starts.
func TestMain(m *testing.M) {
	if os.Getenv("SERVICE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts the service as a process of its own, and returns its URL.
func start(t *testing.T, database, cacheURL string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	service := exec.Command(program, "-listen", "127.0.0.1:0", "-database", database)
	service.Env = append(os.Environ(), "SERVICE=1", "CACHE_URL="+cacheURL)
	out, err := service.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.Process.Kill()
		service.Wait()
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// ask returns the status and the body of a response.
func ask(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

func want(t *testing.T, method, url string, wantStatus int, wantBody string) {
	t.Helper()
	if status, body := ask(t, method, url); status != wantStatus || body != wantBody {
		t.Errorf("%s %s: got %d %s, want %d %s", method, url, status, body, wantStatus, wantBody)
	}
}

func stats(t *testing.T, url string) (s decorators.Stats) {
	t.Helper()
	_, body := ask(t, "GET", url+"/stats")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	rome = `{"ID":42,"Lang":"en","Name":"Rome"}`
	roma = `{"ID":42,"Lang":"en","Name":"Roma"}`
)

func TestService(t *testing.T) {
	url := start(t, filepath.Join(t.TempDir(), "cities.json"), "")
	want(t, "GET", url+"/city/42?lang=en", 200, rome)
	want(t, "GET", url+"/city/42?lang=en", 200, rome)
	if s := stats(t, url); s.Computations != 1 || s.Hits != 1 {
		t.Errorf("after two calls: %+v", s)
	}
	want(t, "PUT", url+"/city/42?lang=en&name=Roma", 200, "")
	want(t, "GET", url+"/city/42?lang=en", 200, roma)
	before := stats(t, url).Computations
	want(t, "GET", url+"/city/7?lang=en", 404, "no such city")
	want(t, "GET", url+"/city/7?lang=en", 404, "no such city")
	if s := stats(t, url); s.Computations != before+1 {
		t.Errorf("what isn't there was looked for %d times, want once: %+v", s.Computations-before, s)
	}
	want(t, "PUT", url+"/city/7?lang=en&name=Paris", 200, "")
	want(t, "GET", url+"/city/7?lang=en", 200, `{"ID":7,"Lang":"en","Name":"Paris"}`)
	want(t, "GET", url+"/city/seven", 400, "the id is not a number")
}

func TestTwoProcesses(t *testing.T) {
	server := memcachedtest.Start(t)
	database := filepath.Join(t.TempDir(), "cities.json")
	cacheURL := "memcached://" + server.Addr() + "?invalidation_replay=1000&operation_timeout=5s" // a busy machine is not a fault
	a, b := start(t, database, cacheURL), start(t, database, cacheURL)
	get := "/city/42?lang=en"

	want(t, "GET", a+get, 200, rome)
	want(t, "GET", b+get, 200, rome)
	if s := stats(t, b); s.Computations != 0 || s.Hits != 1 {
		t.Errorf("the second process: %+v, want a hit on what the first one has computed", s)
	}
	want(t, "PUT", b+"/city/42?lang=en&name=Roma", 200, "")
	want(t, "GET", a+get, 200, roma)
	want(t, "GET", a+"/city/7?lang=en", 404, "no such city")
	want(t, "GET", b+"/city/7?lang=en", 404, "no such city") // which a has found out
	if s := stats(t, b); s.Computations != 0 {
		t.Errorf("the second process: %+v, want no computation", s)
	}

	server.Stop()
	want(t, "GET", a+get, 200, roma)
	want(t, "GET", a+"/ready", 200, "")
	want(t, "PUT", a+"/city/42?lang=en&name=Rome", 200, "")
	want(t, "GET", b+get, 200, rome)
	want(t, "GET", start(t, database, cacheURL)+get, 200, rome)
}
