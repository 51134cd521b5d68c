package memcached

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/dnstest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

const hostName = "cache.names.test."

// named is an engine on one name, whose answers get old soon. Nothing is dialled: every address has a server that
// stores nothing.
func named(t *testing.T, options map[string]any, more ...string) (*memcached, *dialled) {
	t.Helper()
	e, err := Open(engine.Settings{Location: append([]string{hostName}, more...), Options: options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m := e.(*memcached)
	d := &dialled{at: map[string]int{}}
	for _, l := range m.locations {
		if l.name != nil {
			l.name.soonOld = 20 * time.Millisecond
			l.name.via, l.name.sole.via = d.dial, d.dial
		} else {
			l.only[0].via = d.dial
		}
	}
	return m, d
}

// dialled counts what is dialled, by address.
type dialled struct {
	mu      sync.Mutex
	at      map[string]int
	refuses string // the address at which nobody listens
}

func (d *dialled) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at[address]++
	if address == d.refuses {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		for buffer := make([]byte, 4096); ; {
			n, err := far.Read(buffer)
			if err != nil {
				return
			}
			reply := "END\r\n"
			switch command, _, _ := strings.Cut(string(buffer[:n]), " "); strings.TrimSpace(command) {
			case "version":
				reply = "VERSION 1\r\n"
			case "delete":
				reply = "NOT_FOUND\r\n"
			}
			far.Write([]byte(reply))
		}
	}()
	return near, nil
}

func (d *dialled) addresses() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.at))
}

func (m *memcached) addresses() (all []string) {
	for _, s := range m.Servers() {
		all = append(all, s.Address)
	}
	return all
}

// use does something on keys that are spread over all servers, and returns the first error.
func (m *memcached) use() error {
	for i := range 100 {
		if _, err := m.Get(context.Background(), fmt.Sprint("k", i)); !errors.Is(err, cacheutils.ErrCacheMiss) {
			return err
		}
	}
	return nil
}

// eventually fails the test unless something comes true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in 20 s", what)
		}
	}
}

// What a name's addresses make of it.
func TestName_Addresses(t *testing.T) {
	v4, other := "10.1.0.1", "10.1.0.2"
	const port = ":11211"
	several := func(ips ...string) (all []string) {
		for _, ip := range ips {
			all = append(all, net.JoinHostPort(ip, "11211")+" ("+hostName+")")
		}
		return all
	}
	one := []string{hostName + port}
	for name, test := range map[string]struct {
		ips             []string
		refuses         string
		servers, dialed []string
	}{
		"one":                            {[]string{v4}, "", one, []string{v4 + port}},
		"one, twice":                     {[]string{v4, v4}, "", one, []string{v4 + port}},
		"one of each kind":               {[]string{"::1", v4}, "", one, []string{v4 + port}},
		"one of each kind, IPv6 listens": {[]string{"::1", v4}, v4 + port, one, []string{v4 + port, "[::1]:11211"}},
		"one and several IPv6":           {[]string{"fd00::2", v4, "fd00::1"}, "", one, []string{v4 + port}},
		"one IPv6":                       {[]string{"fd00::1"}, "", one, []string{"[fd00::1]:11211"}},
		"several":                        {[]string{other, v4, other}, "", several(v4, other), []string{v4 + port, other + port}},
		"several, IPv6 too":              {[]string{"fd00::1", other, v4, "fd00::2"}, "", several(v4, other), []string{v4 + port, other + port}},
		"several IPv6":                   {[]string{"fd00::2", "fd00::1"}, "", several("fd00::1", "fd00::2"), []string{"[fd00::1]:11211", "[fd00::2]:11211"}},
	} {
		t.Run(name, func(t *testing.T) {
			dnstest.Start(t).Answer(test.ips...)
			m, d := named(t, nil)
			d.refuses = test.refuses
			if err := m.use(); err != nil {
				t.Error(err)
			}
			if got := m.addresses(); !slices.Equal(got, test.servers) {
				t.Errorf("servers: got %q, want %q", got, test.servers)
			}
			if got := d.addresses(); !slices.Equal(got, slices.Sorted(slices.Values(test.dialed))) {
				t.Errorf("dialled: got %q, want %q", got, test.dialed)
			}
			if got := slices.Sorted(maps.Keys(m.Ping(context.Background()))); !slices.Equal(got, test.servers) {
				t.Errorf("ping: got %q, want %q", got, test.servers)
			}
		})
	}
}

// A name has its place among the locations, whatever its addresses, and in that place every order of them is the same.
func TestName_Places(t *testing.T) {
	names := dnstest.Start(t)
	names.Answer("10.1.0.1", "10.1.0.2", "10.1.0.3")
	plain := opened(t, hostName, "10.0.0.1", "10.0.0.2")
	one, _ := named(t, nil, "10.0.0.1", "10.0.0.2")
	other, _ := named(t, nil, "10.0.0.2", "10.0.0.1")
	if err := errors.Join(one.use(), other.use()); err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i := range 3000 {
		key := fmt.Sprint("key", i)
		s := one.serverOf(context.Background(), key)
		if got := other.serverOf(context.Background(), key); got.address != s.address {
			t.Fatalf("%s is on %v and on %v", key, s.address, got.address)
		}
		if want := plain.of(key); (want.name != nil) != (s.name != nil) || want.name == nil && want.only[0].address != s.address {
			t.Fatalf("%s is on %v, and not where the list of locations says", key, s.address)
		}
		at[s.address.String()]++
	}
	for _, ip := range []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"} {
		if n := at[ip+":11211 ("+hostName+")"]; n < 250 || n > 420 {
			t.Errorf("%s has %d of 3000 keys, want a ninth", ip, n)
		}
	}
}

// The servers follow the answer, and connections are closed to what it doesn't have.
func TestName_AnswerChanges(t *testing.T) {
	names := dnstest.Start(t)
	m, d := named(t, map[string]any{"probe_interval": "20ms"})
	for _, answer := range [][]string{
		{"10.1.0.1"}, {"10.1.0.1", "10.1.0.2"}, {"10.1.0.1", "10.1.0.2", "10.1.0.3"}, {"10.1.0.3", "10.1.0.4"}, {"10.1.0.4"}, {"10.1.0.5"},
		{"fd00::1", "10.1.0.5"}, {"fd00::1"}, {"fd00::1", "fd00::2"}, {"10.1.0.1", "10.1.0.2", "10.1.0.3"},
	} {
		names.Answer(answer...)
		want := len(answer)
		if len(answer) == 2 && strings.Contains(answer[0], ":") != strings.Contains(answer[1], ":") {
			want = 1
		}
		eventually(t, fmt.Sprint(answer, ": servers"), func() bool {
			m.use() // an operation that meets the change may fail
			for _, ip := range answer[:want] {
				if want > 1 && !slices.ContainsFunc(m.addresses(), func(a string) bool { return strings.Contains(a, ip) }) {
					return false
				}
			}
			known := m.locations[0].name.current.Load()
			return len(known.servers) == want && slices.ContainsFunc(known.ips, func(ip netip.Addr) bool { return ip.String() == answer[0] })
		})
		if err := m.use(); err != nil {
			t.Errorf("%v: %v", answer, err)
		}
	}
	want := []string{"10.1.0.1:11211", "10.1.0.2:11211", "10.1.0.3:11211", "10.1.0.4:11211", "10.1.0.5:11211", "[fd00::1]:11211", "[fd00::2]:11211"}
	if got := d.addresses(); !slices.Equal(got, want) {
		t.Errorf("dialled %q, want %q", got, want)
	}
	for _, s := range m.Servers() {
		if s.Open == 0 || s.Down {
			t.Errorf("got %+v", s)
		}
	}
	if n := m.locations[0].name.sole.describe().Open; n != 0 {
		t.Errorf("%d connections of the name's sole server are left", n)
	}
}

// A lookup that fails, or has no answer, leaves the servers as they are, and takes nobody's time.
func TestName_LastAnswerStays(t *testing.T) {
	for name, fails := range map[string]func(*dnstest.Server){
		"fails": (*dnstest.Server).Fail, "hangs": (*dnstest.Server).Hang, "unknown": (*dnstest.Server).Forget, "empty": func(s *dnstest.Server) { s.Answer() },
	} {
		t.Run(name, func(t *testing.T) {
			names := dnstest.Start(t)
			names.Answer("10.1.0.1", "10.1.0.2")
			m, _ := named(t, map[string]any{"operation_timeout": "2s"})
			if err := m.use(); err != nil {
				t.Fatal(err)
			}
			before := m.addresses()
			fails(names)
			asked := names.Queries()
			eventually(t, "looked up again", func() bool {
				if err := m.use(); err != nil {
					t.Fatal(err)
				}
				return names.Queries() > asked
			})
			slow := 0
			for range 200 {
				began := time.Now()
				if err := m.use(); err != nil {
					t.Fatal(err)
				}
				if time.Since(began) > 300*time.Millisecond { // patience is 400 ms
					slow++
				}
			}
			if slow > 5 {
				t.Errorf("%d of 200 rounds waited", slow)
			}
			if got := m.addresses(); !slices.Equal(got, before) {
				t.Errorf("servers: got %q, want %q", got, before)
			}
			if err := errors.Join(slices.Collect(maps.Values(m.Ping(context.Background())))...); err != nil {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// A name that isn't resolved yet costs callers little, is named by errors and by Ping, and is used once it is
// resolved, however slowly. Nothing is looked up before it is needed.
func TestName_NotResolvedYet(t *testing.T) {
	for name, fails := range map[string]func(*dnstest.Server){
		"fails": (*dnstest.Server).Fail, "hangs": (*dnstest.Server).Hang, "unknown": (*dnstest.Server).Forget, "empty": func(s *dnstest.Server) { s.Answer() },
	} {
		t.Run(name, func(t *testing.T) {
			names := dnstest.Start(t)
			fails(names)
			m, _ := named(t, map[string]any{"probe_interval": "50ms"})
			if n := names.Queries(); n > 0 {
				t.Errorf("%d queries before the first operation", n)
			}
			began := time.Now()
			for range 20 {
				if _, err := m.Get(context.Background(), "k"); err == nil || !strings.Contains(err.Error(), hostName) {
					t.Errorf("get: %v, want an error that names the host", err)
				}
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("20 operations took %v", took)
			}
			if got := m.Servers(); len(got) != 1 || !got[0].Down || got[0].Address != hostName+":11211" {
				t.Errorf("got %+v, want one server that is down", got)
			}
			for address, err := range m.Ping(context.Background()) {
				if err == nil || !strings.Contains(err.Error(), hostName) || address != hostName+":11211" {
					t.Errorf("ping: %s: %v, want an error that names the host", address, err)
				}
			}
			names.Answer("10.1.0.1", "10.1.0.2")
			eventually(t, "resolved", func() bool { return m.use() == nil })
			if n := len(m.Servers()); n != 2 {
				t.Errorf("%d servers, want 2", n)
			}
		})
	}
}

// An address that is down keeps its keys; the others work.
func TestName_OneAddressDown(t *testing.T) {
	dnstest.Start(t).Answer("10.1.0.1", "10.1.0.2")
	m, d := named(t, nil)
	d.refuses = "10.1.0.2:11211"
	for i := range 100 {
		key := fmt.Sprint("k", i)
		_, err := m.Get(context.Background(), key)
		down := strings.HasPrefix(m.serverOf(context.Background(), key).address.String(), d.refuses)
		if down == errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Fatalf("%s: %v, on the server that is down: %v", key, err, down)
		}
	}
	for address, err := range m.Ping(context.Background()) {
		if down := strings.HasPrefix(address, d.refuses); down != (err != nil) {
			t.Errorf("ping %s: %v", address, err)
		}
	}
	for _, s := range m.Servers() {
		if down := strings.HasPrefix(s.Address, d.refuses); down != s.Down {
			t.Errorf("got %+v", s)
		}
	}
}

// Invalidations that wait for an address are carried out where their keys are looked for, and when the address is back.
func TestName_QueueOfAnAddressThatLeaves(t *testing.T) {
	names := dnstest.Start(t)
	names.Answer("10.1.0.1", "10.1.0.2")
	m, d := named(t, map[string]any{"invalidation_replay": 1000, "probe_interval": "20ms"})
	if err := m.use(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.refuses = "10.1.0.2:11211"
	d.mu.Unlock()
	key := ""
	for i := 0; key == ""; i++ {
		if k := fmt.Sprint("k", i); strings.HasPrefix(m.serverOf(context.Background(), k).address.String(), d.refuses) {
			key = k
		}
	}
	s := m.serverOf(context.Background(), key)
	s.drop()
	if _, err := m.Delete(context.Background(), key); err == nil || !m.ReplayDelete(key) {
		t.Fatalf("delete on a server that refuses connections: %v", err)
	}
	names.Answer("10.1.0.1")
	eventually(t, "one server", func() bool { m.use(); return len(m.Servers()) == 1 })
	eventually(t, "carried out there", func() bool {
		d := m.Servers()[0]
		return d.Replayed == 1 && d.Queued == 0 && !d.Down
	})
	names.Answer("10.1.0.1", "10.1.0.2")
	eventually(t, "two servers", func() bool { m.use(); return len(m.Servers()) == 2 })
	if d := s.describe(); !d.Down || d.Queued != 1 {
		t.Errorf("got %+v, want that the invalidation still waits", d)
	}
	d.mu.Lock()
	d.refuses = ""
	d.mu.Unlock()
	eventually(t, "carried out when it is back", func() bool { return m.use() == nil && s.describe().Queued == 0 })
}

// Callers who use a name while its answer changes all the time get no wrong answer, and Close leaves nothing behind.
func TestName_ChangesUnderLoad(t *testing.T) {
	names := dnstest.Start(t)
	names.Answer("10.1.0.1")
	m, _ := named(t, map[string]any{"invalidation_replay": 10, "probe_interval": "5ms"})
	m.locations[0].name.soonOld = time.Millisecond
	var stop atomic.Bool
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for n := 0; !stop.Load(); n++ {
				switch key := fmt.Sprint("k", n%50); (i + n) % 5 {
				case 0:
					m.ReplayDelete(key)
				case 1:
					m.Ping(context.Background())
				case 2:
					m.Servers()
				case 3:
					m.GetMany(context.Background(), []string{key, "k2", "k3", "k4"})
				default:
					m.Get(context.Background(), key)
				}
			}
		})
	}
	for i := range 100 {
		names.Answer([]string{"10.1.0.1", "10.1.0.2", "10.1.0.3", "fd00::1"}[i%4 : i%4+1+i%2*(3-i%4)]...)
		time.Sleep(2 * time.Millisecond)
	}
	m.Close()
	stop.Store(true)
	users.Wait()
	n := m.locations[0].name
	for _, s := range append(n.current.Load().servers, n.sole) {
		if d := s.describe(); d.Open != 0 || d.Queued != 0 {
			t.Errorf("got %+v after Close", d)
		}
	}
	if _, err := m.Get(context.Background(), "k"); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("get after Close: %v", err)
	}
}

// localhost is one server, whichever of its addresses memcached listens at.
func TestName_Localhost(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", "localhost")
			if err != nil || !slices.Contains(ips, netip.MustParseAddr(host)) {
				t.Skipf("localhost is %v, %v", ips, err)
			}
			_, port, _ := net.SplitHostPort(memcachedtest.StartTogether(t, host)[0].Addr())
			e, err := Open(engine.Settings{Location: []string{"localhost:" + port}})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for address, err := range e.(engine.ServerEngine).Ping(context.Background()) {
				if err != nil || address != "localhost:"+port {
					t.Errorf("ping %s: %v", address, err)
				}
			}
		})
	}
}

// Names are looked up at once where an operation needs several, so that it waits no longer than for one.
func TestName_SeveralHang(t *testing.T) {
	for name, operate := range map[string]func(*memcached) error{
		"get many": func(m *memcached) error {
			keys := make([]string, 200)
			for i := range keys {
				keys[i] = fmt.Sprint("k", i)
			}
			_, err := m.GetMany(context.Background(), keys)
			return err
		},
		"clear": func(m *memcached) error { return m.Clear(context.Background(), "") },
	} {
		t.Run(name, func(t *testing.T) {
			names := dnstest.Start(t)
			names.Hang()
			var more []string
			for i := range 9 {
				more = append(more, fmt.Sprintf("cache%d.names.test.", i))
			}
			const operation = 300 * time.Millisecond
			m, _ := named(t, map[string]any{"operation_timeout": operation.String(), "clear": "flush_all"}, more...)
			began := time.Now()
			if err := operate(m); err == nil {
				t.Error("it has worked")
			}
			if took := time.Since(began); took > 2*operation {
				t.Errorf("it took %v, with an operation_timeout of %v", took, operation)
			}
		})
	}
}
