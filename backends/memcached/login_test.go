package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// passwords returns the path of a file for memcached's -Y.
func passwords(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openedWith returns an engine on the server with these options.
func openedWith(t *testing.T, address string, options map[string]any) engine.Engine {
	t.Helper()
	all := map[string]any{"operation_timeout": "5s"}
	for name, value := range options {
		all[name] = value
	}
	e, err := Open(engine.Settings{Location: []string{address}, Options: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// works sets and gets an item.
func works(e engine.Engine) error {
	ctx := context.Background()
	if err := e.Set(ctx, "k", engine.Item{Value: []byte("v")}, time.Minute); err != nil {
		return err
	}
	item, err := e.Get(ctx, "k")
	if err == nil && string(item.Value) != "v" {
		return fmt.Errorf("got %q", item.Value)
	}
	return err
}

func TestLogin(t *testing.T) {
	file := passwords(t, "alice:s3cret", "bob:pässwört!")
	plain, unix := memcachedtest.Start(t, "-Y", file), memcachedtest.StartUnix(t, "-Y", file)
	secure, ca := memcachedtest.StartTLS(t, "-Y", file)
	t.Setenv("S3CRET_PASSWORD", "s3cret")
	for name, test := range map[string]struct {
		server  *memcachedtest.Server
		options map[string]any
	}{
		"loopback":             {plain, map[string]any{"username": "alice", "password": "s3cret"}},
		"beyond ASCII":         {plain, map[string]any{"username": "bob", "password": "pässwört!"}},
		"from the environment": {plain, map[string]any{"username": "alice", "password_env": "S3CRET_PASSWORD"}},
		"a unix socket":        {unix, map[string]any{"username": "alice", "password": "s3cret"}},
		"TLS":                  {secure, map[string]any{"username": "alice", "password": "s3cret", "tls_ca": ca}},
	} {
		e := openedWith(t, test.server.Addr(), test.options)
		if err := works(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for address, err := range e.(engine.ServerEngine).Ping(context.Background()) {
			if err != nil {
				t.Errorf("%s: ping %s: %v", name, address, err)
			}
		}
	}
}

// A login that the server refuses is an error that says so, and a server that is down: not a dial for each operation. No
// error has the password.
func TestLogin_Refused(t *testing.T) {
	server := memcachedtest.Start(t, "-Y", passwords(t, "alice:s3cret"))
	for name, options := range map[string]map[string]any{
		"another password": {"username": "alice", "password": "hunter2"},
		"another user":     {"username": "mallory", "password": "hunter2"},
		"a long one":       {"username": "alice", "password": strings.Repeat("hunter2", 1000)},
	} {
		options["probe_interval"] = "1h"
		e := openedWith(t, server.Addr(), options)
		ctx := context.Background()
		for i := range 20 {
			_, err := e.Get(ctx, "k")
			if err == nil || !strings.Contains(err.Error(), "the server refuses the user or the password") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: get %d: %v", name, i, err)
			}
			if i > 0 && !errors.Is(err, cacheutils.ErrServerDown) {
				t.Errorf("%s: get %d: %v, want ErrServerDown", name, i, err)
			}
		}
		if d := e.(engine.ServerEngine).Servers()[0]; !d.Down || d.Dials > 2 || strings.Contains(fmt.Sprintf("%+v", d), "hunter2") {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if _, err := openedWith(t, server.Addr(), nil).Get(context.Background(), "k"); err == nil || !strings.Contains(err.Error(), "username and password") {
		t.Errorf("without a login: %v", err)
	}
}

// A server without -Y takes the login for an item, which nobody finds there.
func TestLogin_ServerWithout(t *testing.T) {
	server := memcachedtest.Start(t)
	e := openedWith(t, server.Addr(), map[string]any{"username": "alice", "password": "s3cret"})
	if err := works(e); err != nil {
		t.Fatal(err)
	}
	if item, err := e.Get(context.Background(), "cacheutils:login"); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("the login is there: %q, %v", item.Value, err)
	}
}

// Whatever answers a login, or doesn't, keeps nobody for long, and comes back in no error.
func TestLogin_Strange(t *testing.T) {
	for name, talk := range map[string]func(net.Conn){
		"silence":         func(nc net.Conn) { time.Sleep(10 * time.Second) },
		"nothing":         func(nc net.Conn) {},
		"what it got":     func(nc net.Conn) { echo(nc) },
		"an endless line": func(nc net.Conn) { trickle(nc, "S", 0) },
		"a slow line":     func(nc net.Conn) { trickle(nc, "S", 20*time.Millisecond) },
		"too much": func(nc net.Conn) {
			nc.Write([]byte("STORED\r\nSTORED\r\n"))
			trickle(nc, "STORED\r\n", time.Millisecond)
		},
		"NOT_STORED": func(nc net.Conn) { nc.Write([]byte("NOT_STORED\r\n")); time.Sleep(time.Second) },
		"HTTP":       func(nc net.Conn) { nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); time.Sleep(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := openedWith(t, memcachedtest.Serve(t, talk), map[string]any{
				"username": "alice", "password": "hunter2", "operation_timeout": "300ms", "probe_interval": "1h",
			})
			began := time.Now()
			for range 3 {
				if _, err := e.Get(context.Background(), "k"); err == nil || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v", err)
				}
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := openedWith(t, memcachedtest.Serve(t, talk), nil).Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("with a context that has ended: %v", err)
			}
		})
	}
}

func echo(nc net.Conn) {
	buf := make([]byte, 1024)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		nc.Write(buf[:n])
	}
}

func trickle(nc net.Conn, text string, every time.Duration) {
	for {
		if _, err := nc.Write([]byte(text)); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// A context that ends while the server is silent about the login ends the operation.
func TestLogin_Cancelled(t *testing.T) {
	got := make(chan struct{}, 10)
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		nc.Read(make([]byte, 1024))
		got <- struct{}{}
		echo(nc)
	})
	e := openedWith(t, addr, map[string]any{"username": "alice", "password": "s3cret", "operation_timeout": "30s"})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-got
		cancel()
	}()
	began := time.Now()
	if _, err := e.Get(ctx, "k"); !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestLogin_WrongOptions(t *testing.T) {
	both := func(more ...any) map[string]any {
		options := map[string]any{"username": "alice", "password": "hunter2"}
		for i := 0; i < len(more); i += 2 {
			options[more[i].(string)] = more[i+1]
		}
		return options
	}
	for _, test := range []struct {
		name      string
		locations []string
		options   map[string]any
		wrong     string // what an error has to say; empty: there is none
	}{
		{"no password", nil, map[string]any{"username": "alice"}, "needs password"},
		{"no user", nil, map[string]any{"password": "hunter2"}, "needs username"},
		{"both empty", nil, both("username", "", "password", ""), "leave them out"},
		{"a space in the user", nil, both("username", "alice smith"), "spaces"},
		{"a space in the password", nil, both("password", "hunter2 "), "spaces"},
		{"a line break", nil, both("password", "hunter2\r\nflush_all"), "control characters"},
		{"a number", nil, both("password", 5), "a string"},
		{"twice", nil, both("password_env", "PATH"), "leave one out"},
		{"a variable that is not set", nil, map[string]any{"username": "alice", "password_env": "hunter2"}, "password_env"},
		{"another host", []string{"10.0.0.1"}, both(), "10.0.0.1:11211 without TLS"},
		{"another host by IPv6", []string{"2001:db8::1"}, both(), "without TLS"},
		{"a name", []string{"cache"}, both(), "without TLS"},
		{"a name like localhost", []string{"localhost.example.com"}, both(), "without TLS"},
		{"one of several", []string{"127.0.0.1", "/run/x", "10.0.0.1"}, both(), "10.0.0.1"},
		{"any address", []string{"0.0.0.0"}, both(), "without TLS"},
		{"tls: false", []string{"10.0.0.1"}, both("tls", false), "without TLS"},

		{"loopback", []string{"127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost.:1", "unix:/run/x"}, both(), ""},
		{"nothing", nil, both(), ""},
		{"with TLS", []string{"10.0.0.1", "cache"}, both("tls", true), ""},
		{"as it was told", []string{"10.0.0.1", "cache"}, both("plain_password", true), ""},
	} {
		e, err := Open(engine.Settings{Location: test.locations, Options: test.options})
		switch {
		case test.wrong == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.wrong != "" && (!errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: got %v, want ErrConfig with %q", test.name, err, test.wrong)
		case err == nil:
			if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, "hunter2") {
				t.Errorf("%s: printed as %s", test.name, text)
			}
			e.Close()
		}
	}
}
