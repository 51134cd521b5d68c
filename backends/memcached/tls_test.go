package memcached

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// An option about TLS beside one that says that there is none, or that has all of it, is an error.
func TestTLS_Contradictions(t *testing.T) {
	cert, key := memcachedtest.Certificate(t)
	for name, value := range map[string]string{"tls_ca": cert, "tls_cert": cert, "tls_key": key, "tls_server_name": "cache"} {
		for _, off := range []any{false, "false", "0", &tls.Config{}} {
			_, err := Open(engine.Settings{Options: map[string]any{"tls": off, name: value}})
			if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "leave one out") {
				t.Errorf("tls %v beside %s: %v", off, name, err)
			}
		}
	}
	for _, options := range []map[string]any{
		{"tls": false}, {"tls": true}, {"tls": &tls.Config{}}, {"tls": true, "tls_ca": cert}, {"tls_cert": cert, "tls_key": key},
	} {
		if e, err := Open(engine.Settings{Options: options}); err != nil {
			t.Errorf("%v: %v", options, err)
		} else {
			e.Close()
		}
	}
}

// The text of a certificate or a key in the place of a file's name is an error that says so, and does not show it; nor does the name
// of a file reach a terminal as it is.
func TestTLS_TextInPlaceOfAFile(t *testing.T) {
	cert, _ := memcachedtest.Certificate(t)
	const text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
	for name, options := range map[string]map[string]any{
		"tls_ca":   {"tls_ca": text},
		"tls_cert": {"tls_cert": text},
		"tls_key":  {"tls_cert": cert, "tls_key": text},
	} {
		_, err := Open(engine.Settings{Options: options})
		if want := "memcached option " + name + " is the text of a certificate or a key; it has to be the name of the file with it"; !errors.Is(err, cacheutils.ErrConfig) ||
			!strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err := Open(engine.Settings{Options: map[string]any{"tls_ca": "/nope\x1b[31m"}})
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("got %q", err)
	}
}

// copied writes what is in one file to another.
func copied(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// notices is a sink that keeps texts.
type notices struct {
	mu    sync.Mutex
	texts []string
}

func (*notices) Enabled(logging.Level) bool { return true }

func (n *notices) Log(_ logging.Level, e logging.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, e.Message())
}

// count returns how many texts have this in them.
func (n *notices) count(text string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.texts {
		if strings.Contains(t, text) {
			count++
		}
	}
	return count
}

// A server whose certificate is renewed is dialled with what is then in the files. What can't be read there, or is
// half-written, is as if it hadn't been written, and logged.
func TestTLS_RenewedFiles(t *testing.T) {
	log := new(notices)
	logging.SetSink(log)
	defer logging.SetSink(nil)
	server, ca := memcachedtest.StartTLS(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	copied(t, ca, file)
	e := openedWith(t, server.Addr(), map[string]any{"tls_ca": file, "probe_interval": "20ms"})
	redialled := func() error {
		e.(*memcached).locations[0].only[0].drop()
		return works(e)
	}
	if err := redialled(); err != nil {
		t.Fatal(err)
	}
	const goesOn = "goes on with the certificates that it has"
	good, _ := os.ReadFile(file)
	began := time.Now()
	for name, broken := range map[string]func() error{
		"half-written": func() error { return os.WriteFile(file, good[:len(good)/2], 0o600) },
		"emptied":      func() error { return os.WriteFile(file, nil, 0o600) },
		"removed":      func() error { return os.Remove(file) },
	} {
		if err := broken(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := redialled(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n := log.count(goesOn); n < 1 || n > 1+int(time.Since(began)/time.Second) {
		t.Errorf("%d lines in %v", n, time.Since(began))
	}

	cert, key := memcachedtest.Certificate(t)
	server.RestartWith("-Z", "-o", "ssl_chain_cert="+cert+",ssl_key="+key)
	if err := redialled(); err == nil {
		t.Error("a certificate that nothing vouches for is accepted")
	}
	copied(t, cert, file)
	for _, err := range e.(engine.ServerEngine).Ping(context.Background()) {
		if err != nil {
			t.Errorf("with the new file: %v", err)
		}
	}
}

// The same for the client's certificate, of which the file and that of its key are written one after the other.
func TestTLS_RenewedPair(t *testing.T) {
	logging.SetSink(new(notices))
	defer logging.SetSink(nil)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first, firstKey := memcachedtest.Certificate(t)
	second, secondKey := memcachedtest.Certificate(t)
	copied(t, first, cert)
	copied(t, firstKey, key)
	f, err := readTLS(engine.ReadOptions("memcached", map[string]any{"tls_cert": cert, "tls_key": key, "tls_server_name": "cache"}))
	if err != nil {
		t.Fatal(err)
	}
	before := f.current(context.Background())
	if again := f.current(context.Background()); again != before {
		t.Error("files that are the same are read into another config")
	}
	copied(t, second, cert)
	if got := f.current(context.Background()); got != before {
		t.Error("a certificate is used without its key")
	}
	copied(t, secondKey, key)
	after := f.current(context.Background())
	want, err := tls.LoadX509KeyPair(second, secondKey)
	if err != nil || string(after.Certificates[0].Certificate[0]) != string(want.Certificate[0]) || after.ServerName != "cache" {
		t.Errorf("the new certificate isn't used, or the name is lost: %v, %+v", err, after)
	}
}

// A file that can't be read to its end keeps no dial waiting: what was read last is used.
func TestTLS_FileHangs(t *testing.T) {
	server, ca := memcachedtest.StartTLS(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	copied(t, ca, file)
	e := openedWith(t, server.Addr(), map[string]any{"tls_ca": file})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := makePipe(file); err != nil {
		t.Skip(err)
	}
	for range 3 {
		e.(*memcached).locations[0].only[0].drop()
		if err := works(e); err != nil {
			t.Error(err)
		}
	}
	pipe, err := os.OpenFile(file, os.O_RDWR, 0) // so that the one who reads it ends
	if err != nil {
		t.Fatal(err)
	}
	pipe.Close()
}
