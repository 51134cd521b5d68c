package memcached

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
)

// What answers at a server's address may not be memcached, or may be one that is set up for something else. Such
// errors say so, since a wrong port is easier to see in a sentence than in the first bytes of another protocol.

// otherServers are what answers instead of memcached, by what its replies begin with.
var otherServers = []struct{ prefix, is string }{
	{"HTTP/", "an HTTP server answers there, not memcached"},
	{"SSH-", "an SSH server answers there, not memcached"},
	{"-", "a Redis server answers there, not memcached"},
	{"+", "a Redis server answers there, not memcached"},
	{"\x15\x03", "a server with TLS answers there: set the option tls if it is memcached"},
	{"220", "a mail or FTP server answers there, not memcached"},
	{"AMQP", "an AMQP server answers there, not memcached"},
	{"ERROR Too many open connections", "the server has no more connections: lower max_conns, or raise its -c"},
	{"ERROR\r\n", "the server doesn't know the command: is it memcached, or a proxy that lacks it?"},
	{"CLIENT_ERROR unauthenticated", "the server is run with -Y: set the options username and password"},
}

// replies are what memcached's replies begin with, besides digits.
var replies = []string{
	"VALUE ", "END", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "OK", "VERSION ", "ERROR", "CLIENT_ERROR ", "SERVER_ERROR ",
}

// opening is how many bytes of a reply are kept to see whose it is.
const opening = 32

// explain adds to an error what it probably means, as the reply that the connection has received shows.
func (c *conn) explain(err error) error {
	got := c.opening[:min(c.received, opening)]
	for _, s := range otherServers {
		if bytes.HasPrefix(got, []byte(s.prefix)) {
			return fmt.Errorf("%s (%w)", s.is, err)
		}
	}
	switch {
	case len(got) == 0 && closedByServer(err) && !c.reused:
		if c.server.tls != nil {
			return fmt.Errorf("the server closed the connection: is it memcached? (%w)", err)
		}
		return fmt.Errorf("the server closed the connection: is it memcached, and without TLS? (%w)", err)
	case len(got) > 0 && !isReply(got):
		return fmt.Errorf("the reply begins with %s: is it memcached? (%w)", quote(string(got)), err)
	default:
		return err
	}
}

// isReply reports whether memcached's replies may begin like that.
func isReply(got []byte) bool {
	if '0' <= got[0] && got[0] <= '9' {
		return true
	}
	for _, r := range replies {
		if n := min(len(r), len(got)); string(got[:n]) == r[:n] {
			return true
		}
	}
	return false
}

// explainTLS is explain for a handshake.
func explainTLS(err error) error {
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &notTLS):
		return fmt.Errorf("TLS: the server answers without TLS (%w)", err)
	case closedByServer(err):
		return fmt.Errorf("TLS: the server closed the connection: does it use TLS? (%w)", err)
	default:
		return fmt.Errorf("TLS: %w", err)
	}
}
