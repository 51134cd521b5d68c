package memcached

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

func TestLocations(t *testing.T) {
	tests := []struct{ location, network, address string }{
		{"host", "tcp", "host:11211"},
		{"host:1234", "tcp", "host:1234"},
		{"cache_1.example.com.", "tcp", "cache_1.example.com.:11211"},
		{"10.0.0.1", "tcp", "10.0.0.1:11211"},
		{"10.0.0.1:1", "tcp", "10.0.0.1:1"},
		{"[::1]", "tcp", "[::1]:11211"},
		{"[::1]:1234", "tcp", "[::1]:1234"},
		{"[fe80::1%eth0]:1234", "tcp", "[fe80::1%eth0]:1234"},
		{"::1", "tcp", "[::1]:11211"},
		{"unix:/tmp/x.sock", "unix", "/tmp/x.sock"},
		{"/tmp/x.sock", "unix", "/tmp/x.sock"},
	}
	for _, test := range tests {
		got, err := parseLocation(test.location)
		if want := (address{test.network, test.address}); got != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", test.location, got, err, want)
		}
	}
	for _, wrong := range []string{
		"", " ", "unix:", ":11211", "host:", "host:0", "host:65536", "host:x", "host:1:2", "a b", "a,b:1", "tcp://host", "[host]:1",
		"[::1", "::1]", "[]:1", "[1.2.3.4]", "user@host", "host\n",
	} {
		if got, err := parseLocation(wrong); !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), fmt.Sprintf("%q", strings.Replace(wrong, "user@", "...@", 1))) {
			t.Errorf("%q: got %v, %v, want ErrConfig", wrong, got, err)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	for name, s := range map[string]engine.Settings{
		"operationtimeout":  {Options: map[string]any{"operationtimeout": 1}},
		"operation_timeout": {Options: map[string]any{"operation_timeout": "soon"}},
		"max_idle_conns":    {Options: map[string]any{"max_idle_conns": 0}},
		"bad:port":          {Location: []string{"good", "bad:port"}},
	} {
		if _, err := Open(s); !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key without a certificate is an error: the engine doesn't go on without TLS.
func TestTLSKeyAlone(t *testing.T) {
	for name, options := range map[string]map[string]any{
		"tls_cert and tls_key": {"tls_key": "key.pem"},
		"tls_ca":               {"tls_ca": "ca.pem"},
	} {
		if _, err := Open(engine.Settings{Options: options}); !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: got %v, want an error that names %s", options, err, name)
		}
	}
}

// A very long time is as if there were no limit.
func TestLongTimes(t *testing.T) {
	const long = 100 * 365 * 24 * time.Hour
	for _, operation := range []time.Duration{time.Second, long, 2 * long, math.MaxInt64} {
		l := readLimits(engine.ReadOptions("memcached", nil), operation)
		if l.connect <= 0 || l.read <= 0 || l.connect > operation || l.read > operation {
			t.Errorf("operation_timeout %v: connect_timeout is %v, read_timeout %v", operation, l.connect, l.read)
		}
		s := newServer(address{}, limits{probe: operation}, nil)
		if got := s.untilProbe(); got < operation/2 || got > operation {
			t.Errorf("probe_interval %v: probed after %v", operation, got)
		}
	}
	if s := newServer(address{}, readLimits(engine.ReadOptions("memcached", map[string]any{"max_item_size": math.MaxInt}), 0), nil); s.tooLarge.Load() <= 0 {
		t.Errorf("with the largest max_item_size, %d bytes are too large", s.tooLarge.Load())
	}
}

func TestExpiration(t *testing.T) {
	now := time.Unix(1_800_000_000, 1)
	tests := []struct {
		name    string
		timeout time.Duration
		want    int32
	}{
		{"forever", cacheutils.Forever, 0},
		{"1 ns", 1, 1},
		{"half a second", 500 * time.Millisecond, 1},
		{"1 s", time.Second, 1},
		{"1.9 s", 1900 * time.Millisecond, 2},
		{"30 days", 30 * 24 * time.Hour, 2_592_000},
		{"just above", 30*24*time.Hour + 1, 1_802_592_001},
		{"30 days and 1 s", 30*24*time.Hour + time.Second, 1_802_592_002},
		{"50 years", 50 * 365 * 24 * time.Hour, math.MaxInt32},
		{"nearly forever", cacheutils.Forever - 1, math.MaxInt32},
		{"negative", -1, -1},
	}
	for _, test := range tests {
		if got := expiration(test.timeout, now); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestCheckKey(t *testing.T) {
	e, err := Open(engine.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	checker := e.(engine.KeyChecker)
	for _, good := range []string{"k", strings.Repeat("k", 250), "й", "a\x80b"} {
		if err := checker.CheckKey(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	wrong := map[string]string{
		"":                       "empty",
		strings.Repeat("k", 251): "251",
		strings.Repeat("й", 126): "252",
		"a b":                    "0x20",
		"a\nb":                   "0x0a",
		"a\x7f":                  "0x7f",
		"\x00":                   "control",
	}
	for key, text := range wrong {
		err := checker.CheckKey(key)
		if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), text) || len(key) > 1 && strings.Contains(err.Error(), key) {
			t.Errorf("%q: got %v, want %q and not the key, which may be secret", key, err, text)
		}
	}
}
