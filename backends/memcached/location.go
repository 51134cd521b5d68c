package memcached

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = "11211"
)

// A location has its own share of the keys, and one server, unless it is a host name with several addresses.
type location struct {
	label string  // what of it counts in the score of a key
	only  servers // its server, unless it is a host name
	name  *name
}

func newLocation(a address, l limits, closed lifetime) *location {
	if a.isName() {
		n := newName(a, l, closed)
		return &location{label: n.sole.label, name: n}
	}
	s := newServer(a, l, closed)
	return &location{label: s.label, only: servers{s}}
}

// servers returns the servers that the location has now. It may have to wait for the name to be resolved.
func (l *location) servers(ctx context.Context) servers {
	if l.name == nil {
		return l.only
	}
	return l.name.now(ctx)
}

// isOld reports whether it is a name that an operation would have looked up.
func (l *location) isOld() bool { return l.name != nil && l.name.isOld(l.name.current.Load()) }

// known returns the servers that the location is known to have.
func (l *location) known() servers {
	if l.name == nil {
		return l.only
	}
	return l.name.current.Load().servers
}

// An address says where a server is, as it was configured.
type address struct{ network, address string }

// isName reports whether the address has to be resolved.
func (a address) isName() bool {
	host, _, err := net.SplitHostPort(a.address)
	if a.network != "tcp" || err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err != nil
}

// Network and String make an address a net.Addr.
func (a address) Network() string { return a.network }
func (a address) String() string  { return a.address }

// label is how pymemcache calls the server.
func (a address) label() string {
	host, port, err := net.SplitHostPort(a.address)
	if a.network != "tcp" || err != nil {
		return a.address
	}
	return host + ":" + port
}

// parseLocation reads the address of a server: a host with or without a port, an IPv6
// address with or without brackets, or the path of a unix socket, alone or after "unix:".
func parseLocation(location string) (address, error) {
	invalid := func(reason string) (address, error) {
		if i := strings.LastIndex(location, "@"); i >= 0 && strings.Contains(location[:i], ":") {
			reason = "has a password, which is an option: username and password, or password_env"
		} else if strings.Contains(location, "://") {
			reason = "is a URL, which backends.ParseURL reads"
		}
		return address{}, fmt.Errorf("%w: memcached location %q %s; write host, host:port, [ipv6]:port or unix:/path",
			cacheutils.ErrConfig, errtext.WithoutPassword(location), reason)
	}
	path, isUnix := strings.CutPrefix(location, "unix:")
	if isUnix || strings.HasPrefix(location, "/") {
		if path == "" {
			return invalid("has no path")
		}
		return address{"unix", path}, nil
	}
	if location == "" {
		return invalid("is empty")
	}
	host, port := location, defaultPort
	switch {
	case net.ParseIP(location) != nil:
		// ::1, after whose colons no port stands.
	case strings.HasPrefix(location, "[") && strings.HasSuffix(location, "]"):
		host = location[1 : len(location)-1]
	case strings.Contains(location, ":"):
		var err error
		if host, port, err = net.SplitHostPort(location); err != nil {
			return invalid("has colons that no port follows")
		}
	}
	if host == "" {
		return invalid("has no host")
	}
	bracketed := strings.HasPrefix(location, "[")
	if ip, _, _ := strings.Cut(host, "%"); bracketed && (net.ParseIP(ip) == nil || !strings.Contains(ip, ":")) {
		return invalid("has no IPv6 address between its brackets")
	}
	if !bracketed && net.ParseIP(host) == nil && strings.ContainsFunc(host, notInHost) {
		return invalid("has a character that no host name has")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return invalid("has no port from 1 to 65535")
	}
	return address{"tcp", net.JoinHostPort(host, port)}, nil
}

// notInHost is lenient: names beyond ASCII and underscores are for the resolver to judge.
func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\:;,@?#[]()<>"'`, r)
}
