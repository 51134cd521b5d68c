package django_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

var ctx = context.Background()

// A project is a process with Django's caches on a server: testdata/peer.py.
type project struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// interpreter returns a Python that has Django and pymemcache. Debian's comes first: another
// one on the path doesn't see Debian's packages.
func interpreter(t *testing.T) string {
	t.Helper()
	why := "is not there"
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		out, err := exec.Command(python, "-c", "import django, pymemcache").CombinedOutput()
		if err == nil {
			return python
		}
		if len(out) > 0 {
			why = "says " + strings.TrimSpace(string(out[strings.LastIndexByte(strings.TrimSpace(string(out)), '\n')+1:]))
		}
	}
	message := "Django and pymemcache (python3-django, python3-pymemcache) are not installed; make test-django installs them. Python " + why
	if os.Getenv("CACHEUTILS_REQUIRE_DJANGO") == "1" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

func startProject(t *testing.T, addr, version string) *project {
	t.Helper()
	cmd := exec.Command(interpreter(t), "peer.py", addr, version)
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), "PYTHONPATH=.", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		watch.Stop()
	})
	p := &project{t: t, in: in, out: bufio.NewScanner(out)}
	if !p.out.Scan() || p.out.Text() != `"ready"` {
		t.Fatalf("the Django side doesn't start: it says %q", p.out.Text())
	}
	return p
}

// do asks the project for an operation and returns its result.
func (p *project) do(operation string, args ...any) any {
	p.t.Helper()
	request, err := json.Marshal(map[string]any{"do": operation, "args": args})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(p.in, "%s\n", request); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("Django: %s%v: no answer: %v", operation, args, p.out.Err())
	}
	var answer struct {
		Result any
		Error  string
	}
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil || answer.Error != "" {
		p.t.Fatalf("Django: %s%v: %s %v", operation, args, answer.Error, err)
	}
	return answer.Result
}

func (p *project) wants(want any, operation string, args ...any) {
	p.t.Helper()
	if got := p.do(operation, args...); got != want {
		p.t.Fatalf("Django: %s%v: got %v, want %v", operation, args, got, want)
	}
}

// metaGet returns the flags, the seconds to live (-1: forever) and the value of a key, from that
// of the servers which has it.
func metaGet(t *testing.T, servers []string, key string) (head, value string) {
	t.Helper()
	for _, addr := range servers {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "mg %s f t v\r\n", key)
		in := bufio.NewScanner(conn)
		if in.Scan() && strings.HasPrefix(in.Text(), "VA ") {
			head = in.Text()
			in.Scan()
			return head, in.Text()
		}
	}
	t.Fatalf("nothing is under %s", key)
	return "", ""
}

func TestGroups(t *testing.T) {
	for _, version := range []string{"", "v1."} {
		t.Run("VERSION="+version, func(t *testing.T) { testGroups(t, version, 1) })
	}
	// Both sides look up a group on the same one of several servers.
	t.Run("4 servers", func(t *testing.T) { testGroups(t, "", 4) })
}

func testGroups(t *testing.T, version string, n int) {
	var servers []string
	for range n {
		servers = append(servers, memcachedtest.Start(t).Addr())
	}
	django := startProject(t, strings.Join(servers, ","), version)
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "group", Location: servers, Version: version,
		Options: map[string]any{"operation_timeout": "5s"},
	}})
	for _, group := range []string{"cities", "a:b", "città", "groups", "日本", "ключ", strings.Repeat("x", 200)} {
		testGroup(t, django, servers, version, group)
	}
}

// testGroup has each side invalidate the group in each way, and checks both sides' entries.
func testGroup(t *testing.T, django *project, servers []string, version, group string) {
	in := cache.Group(group)
	goHas := func(want bool, when string) {
		t.Helper()
		got, err := cache.Get[[]string](ctx, "key", in)
		if want && (err != nil || len(got) != 1) || !want && !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Fatalf("group %.20q, %s: Go has %q, %v, want it there: %v", group, when, got, err, want)
		}
	}
	goSet := func() {
		t.Helper()
		if err := cache.Set(ctx, "key", []string{"value"}, in); err != nil {
			t.Fatal(err)
		}
	}
	djangoHas := func(want bool, when string) {
		t.Helper()
		got := django.do("get_from", group, "key")
		if (got != nil) != want {
			t.Fatalf("group %.20q, %s: Django has %v, want it there: %v", group, when, got, want)
		}
	}
	both := func(when string) {
		t.Helper()
		goHas(true, when)
		djangoHas(true, when)
	}
	neither := func(when string) {
		t.Helper()
		goHas(false, when)
		djangoHas(false, when)
	}

	goSet()
	if head, id := metaGet(t, servers, version+"_group::"+group); head != "VA 36 f16 t-1" || !isUUID4(id) {
		t.Fatalf("group %.20q: Go wrote %q %q, want a random uuid as text that lives forever", group, head, id)
	}
	django.do("set_in", group, "key", "value")
	both("begun by Go")

	django.do("invalidate_group", group)
	neither("Django has written another uuid")
	django.do("set_in", group, "key", "value")
	goSet()
	both("stored again")

	django.do("forget_group", group)
	goHas(false, "Django has deleted the uuid")
	djangoHas(false, "Django has deleted the uuid") // which begins the group again
	goSet()
	django.do("set_in", group, "key", "value")
	both("begun by Django")

	if err := cache.InvalidateGroup(ctx, group); err != nil {
		t.Fatal(err)
	}
	neither("Go has invalidated it")
	django.do("set_in", group, "key", "value")
	goSet()
	both("stored after that")

	if err := cache.InvalidateGroup(ctx, "another"); err != nil {
		t.Fatal(err)
	}
	django.do("invalidate_group", "another")
	both("another group was invalidated")
}

func isUUID4(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.Version() == 4
}

// What Go computes while Django invalidates its group is not served.
func TestDuringComputation(t *testing.T) {
	server := memcachedtest.Start(t)
	django := startProject(t, server.Addr(), "")
	cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{server.Addr()}}})
	runs := 0
	City, _ := decorators.Cached(func(context.Context) (int, error) {
		runs++
		if runs == 1 {
			django.do("invalidate_group", "cities")
		}
		return runs, nil
	}, decorators.Key("city"), decorators.Group("cities"))
	for _, want := range []int{1, 2, 2} {
		if got, err := City(ctx); got != want || err != nil {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
}

// Django's own cache has the same keys: whole numbers go both ways, and Go reads texts.
func TestPlainValues(t *testing.T) {
	server := memcachedtest.Start(t)
	django := startProject(t, server.Addr(), "")
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Set(ctx, "visits", 41))
	django.wants(41.0, "get", "visits")
	django.wants(42.0, "incr", "visits")
	n, err := c.Incr(ctx, "visits", 1)
	must(err)
	django.wants(float64(n), "get", "visits")

	django.do("set", "from-django", 7)
	number := 0
	must(c.Get(ctx, "from-django", &number))
	django.do("set", "name", "Città")
	text := ""
	must(c.Get(ctx, "name", &text))
	if number != 7 || text != "Città" {
		t.Errorf("got %d and %q of Django, want 7 and Città", number, text)
	}
	django.do("set", "list", []int{1})
	if err := c.Get(ctx, "list", &[]int{}); !errors.Is(err, cacheutils.ErrCacheMiss) || !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("a pickle of Django: got %v, want ErrCacheMiss and ErrUndecodable", err)
	}
	_, err = c.Delete(ctx, "name")
	must(err)
	django.wants(nil, "get", "name")
}
