package memcached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// A server that is run with -Y takes nothing on a connection until it got a user and a password, as the value of an item
// whose key it ignores. The login is sent when a connection was dialled, after TLS.

// A login is what is sent, and has the password in it.
type login string

// logsIn is the key of a login. A server without -Y stores it as an item that has ended already.
const logsIn = "set cacheutils:login 0 -1 %d\r\n%s\r\n"

// readLogin reads the options about the login, for servers at these addresses.
func readLogin(r *engine.OptionReader, withTLS bool, addresses []address) (login, error) {
	user, password := r.String("username", ""), r.Secret("password")
	plain := r.Bool("plain_password", false)
	wrong := func(format string, args ...any) (login, error) {
		return "", fmt.Errorf("%w: memcached %s", cacheutils.ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case user == "" && password == "" && (r.Given("username") || r.Given("password")):
		return wrong("options username and password are empty: leave them out")
	case user == "" && password == "":
		return "", nil
	case user == "":
		return wrong("option password needs username: memcached -Y has both in its file")
	case password == "":
		return wrong("option username needs password, or password_env")
	case strings.ContainsFunc(user+password, func(b rune) bool { return b <= ' ' || b == 0x7f }):
		return wrong("options username and password can't have spaces or control characters, which memcached -Y doesn't take")
	}
	if !withTLS && !plain {
		if i := slices.IndexFunc(addresses, address.isBeyondHost); i >= 0 {
			return wrong("option password would be sent to %s without TLS, which others can read: set tls, or plain_password: true if nobody can", addresses[i])
		}
	}
	text := user + " " + password
	return login(fmt.Sprintf(logsIn, len(text), text)), nil
}

// isBeyondHost reports whether what is sent to the address may leave this host. A name may be resolved to anything, but
// for localhost.
func (a address) isBeyondHost() bool {
	host, _, err := net.SplitHostPort(a.address)
	if a.network == "unix" || err == nil && strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.Unmap().IsLoopback()
}

var errLogin = errors.New("login: the server refuses the user or the password")

// logIn sends the login, if there is one, and returns nil if the server takes it. It ends when ctx does.
func (l login) logIn(ctx context.Context, nc net.Conn) error {
	if l == "" {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(past) })
	err := l.exchange(nc)
	if !stop() {
		return ctx.Err() // as if it hadn't answered
	}
	return err
}

// exchange sends the login and reads the answer, of which no error has anything: a server may send back what it got.
func (l login) exchange(nc net.Conn) error {
	const stored, refused = "STORED\r\n", "CLIENT_ERROR"
	if _, err := io.WriteString(nc, string(l)); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	var answer []byte
	for buf := make([]byte, 64); len(answer) < len(refused) && !strings.HasSuffix(string(answer), "\n"); {
		n, err := nc.Read(buf)
		if answer = append(answer, buf[:n]...); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	switch {
	case string(answer) == stored:
		return nil
	case strings.HasPrefix(string(answer), refused):
		return errLogin
	default:
		return errors.New("login: the server doesn't answer as memcached does")
	}
}
