package memcached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
)

// A host name may have several addresses, each of which is a server of its own: connections of one pool that went
// to whichever address comes first would find a key on one server and invalidate it on another. So
//
//	one address       the name has one server, with the place of the name among the locations.
//	several           the keys of the name are spread over the addresses, as over locations. All processes that
//	                  get the same addresses agree, whatever their order.
//	IPv4 and IPv6     a host mostly has both. Where there are IPv4 addresses they are the servers. A name with one of
//	                  them has one server, whose IPv6 addresses are dialled if nobody listens at the IPv4 one.
//
// A name is looked up when it is first needed, again while it is used and the answer is getting old, and when
// connections are dialled. There is one lookup at a time, in the background. Callers wait for it briefly, where
// there is no answer yet or it is too old. When a lookup fails the last answer stays.
//
// When the answer changes, keys are looked for where the new one says. Connections to what it doesn't
// contain are closed.

const (
	// soonOld is the age from which an answer is looked up again while the old one is used. From twice that on,
	// operations wait for the lookup.
	soonOld = 5 * time.Second
	// oldForDial is the same for dialling, where it may be the reason that a connection is needed, and
	// how long after a lookup that failed there is no other one.
	oldForDial = time.Second
	// longestLookup bounds a lookup.
	longestLookup = 10 * time.Second
	// maxKept is how many servers of earlier answers are kept.
	maxKept = 64
)

// A name is a location that is a host name.
type name struct {
	host, port string
	limits
	closed  lifetime
	soonOld time.Duration
	sole    *server // while the name has one address, or none that is known

	current atomic.Pointer[resolution]

	mu      sync.Mutex
	looking *lookup                // the one under way
	failed  time.Time              // when the last one that failed began; zero: none has since the answer
	kept    map[netip.Addr]*server // of earlier answers, for which invalidations wait
}

// A resolution is what a name stands for.
type resolution struct {
	servers servers
	ips     []netip.Addr // of the servers, or all those of the sole one, the first of which identifies it; nil: none is known
	at      time.Time    // when it was asked for
}

// A lookup is one attempt to resolve a name.
type lookup struct {
	began time.Time
	done  chan struct{}
	err   error // once done is closed
}

func newName(a address, l limits, closed lifetime) *name {
	n := &name{limits: l, closed: closed, soonOld: soonOld, sole: newServer(a, l, closed)}
	n.host, n.port, _ = net.SplitHostPort(a.address)
	n.sole.name = n
	n.current.Store(&resolution{servers: servers{n.sole}})
	return n
}

// now returns the name's servers.
func (n *name) now(ctx context.Context) servers {
	a := n.current.Load()
	if !n.isOld(a) {
		return a.servers
	}
	l := n.lookUp(a)
	switch {
	case l == nil:
	case a.ips == nil:
		n.wait(ctx, l, n.connect)
	case time.Since(a.at) >= 2*n.soonOld:
		n.wait(ctx, l, n.patience())
	}
	return n.current.Load().servers
}

// isOld reports whether an operation has the name looked up again. Without an answer the probes of the sole server do that.
func (n *name) isOld(a *resolution) bool {
	return time.Since(a.at) >= n.soonOld && (a.ips != nil || !n.sole.unavailable.Load())
}

// begin has the name looked up if an operation that is about to need its servers would do so.
func (n *name) begin() {
	if a := n.current.Load(); n.isOld(a) {
		n.lookUp(a)
	}
}

// again returns the name's servers as they are now, if that can be found out in time.
func (n *name) again(ctx context.Context) servers {
	if l := n.lookUp(n.current.Load()); l != nil {
		n.wait(ctx, l, n.connect)
	}
	return n.current.Load().servers
}

// patience is how long is waited for a lookup where there is an answer to go on with.
func (n *name) patience() time.Duration { return n.connect / 3 }

// lookUp returns the lookup under way, or starts one. It returns nil if there is to be none: a answers the question,
// and one has failed just now; or the engine is closed.
func (n *name) lookUp(a *resolution) *lookup {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.looking != nil {
		return n.looking
	}
	if n.closed.isClosed() || a.ips != nil && time.Since(n.failed) < oldForDial {
		return nil
	}
	l := &lookup{began: time.Now(), done: make(chan struct{})}
	n.looking = l
	go n.run(l)
	return l
}

// run carries out a lookup, which ends when the engine is closed.
func (n *name) run(l *lookup) {
	defer close(l.done)
	ctx, cancel := context.WithTimeout(context.Background(), longestLookup)
	defer cancel()
	go func() {
		select {
		case <-n.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	found, err := resolve(ctx, n.host)

	if notice := n.end(l, found, err); notice != "" {
		n.sole.notice("addresses", notice, nil)
	}
}

// end notes how a lookup has ended, and returns what is to be logged of it.
func (n *name) end(l *lookup, found addresses, err error) (notice string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looking, l.err = nil, err
	switch {
	case n.closed.isClosed():
		return ""
	case err != nil:
		n.failed = l.began
		return ""
	default:
		n.failed = time.Time{}
		return n.adopt(found, l.began)
	}
}

// wait waits for a lookup until so long after its beginning. So those who come later to one that hangs don't wait.
func (n *name) wait(ctx context.Context, l *lookup, atMost time.Duration) {
	timer := time.NewTimer(time.Until(l.began.Add(atMost)))
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	case <-ctx.Done():
	case <-n.closed:
	}
}

// dialled returns the addresses at which a server of the name is dialled, one after the other.
func (n *name) dialled(ctx context.Context, s *server) ([]netip.Addr, error) {
	a := n.current.Load()
	if time.Since(a.at) >= min(oldForDial, n.soonOld) {
		if l := n.lookUp(a); l != nil {
			if a.ips != nil {
				n.wait(ctx, l, n.patience())
			} else {
				n.wait(ctx, l, n.connect)
			}
			a = n.current.Load()
			if a.ips == nil {
				return nil, n.unresolved(l)
			}
		}
	}
	switch {
	case a.ips == nil:
		return nil, cacheutils.ErrClosed
	case !slices.Contains(a.servers, s):
		return nil, errMoved
	case s.ip.IsValid():
		return []netip.Addr{s.ip}, nil
	default:
		return a.ips, nil
	}
}

// errMoved is for an operation that was about to dial a server when the name's answer changed.
var errMoved = errors.New("its name has other addresses now")

// unresolved is why l, which was waited for, has no answer.
func (n *name) unresolved(l *lookup) error {
	select {
	case <-l.done:
		if l.err != nil {
			return l.err
		}
	default:
	}
	return fmt.Errorf("its name is not resolved yet: %w", &net.DNSError{Err: "no answer", Name: n.host, IsTimeout: true})
}

// addresses is what a name resolves to, each without repetitions and sorted.
type addresses struct {
	v4, v6    []netip.Addr
	unknownV6 bool
}

// several returns the addresses that are servers, or nil if all are those of one.
func (a addresses) several() []netip.Addr {
	switch {
	case len(a.v4) > 1:
		return a.v4
	case len(a.v4) == 0 && len(a.v6) > 1:
		return a.v6
	default:
		return nil
	}
}

// resolve looks for both kinds of addresses at once. It fails if it is unknown whether there are IPv4 addresses:
// the others would be other servers.
func resolve(ctx context.Context, host string) (found addresses, err error) {
	lookedUp := make(chan error, 1)
	go func() {
		var err error
		found.v6, err = lookUpKind(ctx, "ip6", host)
		lookedUp <- err
	}()
	v4, err := lookUpKind(ctx, "ip4", host)
	err6 := <-lookedUp
	switch {
	case err == nil:
		found.v4, found.unknownV6 = v4, err6 != nil && !isNone(err6)
		return found, nil
	case isNone(err) && err6 == nil:
		return found, nil
	case isNone(err) && !isNone(err6):
		return found, err6
	default:
		return found, err
	}
}

func lookUpKind(ctx context.Context, kind, host string) ([]netip.Addr, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, kind, host)
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips), err
}

// isNone reports whether an error says that a name has no addresses of a kind.
func isNone(err error) bool {
	var dns *net.DNSError
	var unsuitable *net.AddrError
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &unsuitable)
}

// adopt makes what was found the answer, and returns what is to be logged of it. The caller holds n.mu.
func (n *name) adopt(found addresses, at time.Time) (notice string) {
	old := n.current.Load()
	next := &resolution{ips: found.several(), at: at}
	if next.ips != nil {
		for _, ip := range next.ips {
			next.servers = append(next.servers, n.serverAt(old, ip))
		}
		slices.SortFunc(next.servers, byPlace)
	} else {
		next.servers, next.ips = servers{n.sole}, slices.Concat(found.v4, found.v6)
		if found.unknownV6 && slices.Equal(old.servers, next.servers) && len(old.ips) > 0 && old.ips[0] == next.ips[0] {
			next.ips = old.ips
		}
	}
	n.current.Store(next)
	if len(old.ips) > 0 && old.identity() == next.identity() {
		return ""
	}
	if len(old.ips) > 0 {
		notice = "has the addresses " + next.identity() + " now, instead of " + old.identity() +
			": keys are looked for there; what processes invalidate while they differ in this may stay"
	} else if len(next.servers) > 1 && n.sole.unavailable.Load() {
		notice = "has the addresses " + next.identity()
	}
	for _, s := range next.servers {
		s.join()
		if slices.Contains(old.servers, s) && s == n.sole {
			s.drop() // connections to the address from before
		}
	}
	for _, s := range old.servers {
		if slices.Contains(next.servers, s) {
			continue
		}
		waiting := s.leave()
		for _, key := range waiting {
			next.servers.of(key).enqueue(key)
		}
		if len(waiting) > 0 && s != n.sole && len(n.kept) < maxKept {
			if n.kept == nil {
				n.kept = make(map[netip.Addr]*server)
			}
			n.kept[s.ip] = s
		}
	}
	return notice
}

// serverAt returns the server at one of several addresses.
func (n *name) serverAt(old *resolution, ip netip.Addr) *server {
	for _, s := range old.servers {
		if s.ip == ip {
			return s
		}
	}
	if s := n.kept[ip]; s != nil {
		delete(n.kept, ip)
		return s
	}
	at := address{"tcp", net.JoinHostPort(ip.String(), n.port)}
	s := newServer(at, n.limits, n.closed)
	s.address.address += " (" + n.host + ")"
	s.name, s.ip, s.tlsName = n, ip, n.host
	return s
}

// identity is the addresses of the servers as text.
func (a *resolution) identity() string {
	ips := a.ips
	if len(a.servers) == 1 {
		ips = ips[:1]
	}
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.String()
	}
	return strings.Join(texts, ", ")
}

// close closes the servers and waits for the end of the lookup. The engine is closed already.
func (n *name) close() {
	n.mu.Lock()
	l := n.looking
	all := append(servers{n.sole}, n.current.Load().servers...)
	for _, s := range n.kept {
		all = append(all, s)
	}
	n.mu.Unlock()
	for _, s := range all {
		s.close()
	}
	if l != nil {
		<-l.done
	}
}
