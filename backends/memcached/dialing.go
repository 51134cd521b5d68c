package memcached

import (
	"context"
	"crypto/tls"
	"net"
)

// dialing is how connections are made.
type dialing struct {
	noDelay bool
	tls     *tlsFiles // nil: without TLS
	login   login     // empty: without
	via     dialer    // makes the socket; nil: a net.Dialer does
}

// connectTo returns a connection to the server, and the socket under it.
func (s *server) connectTo(ctx context.Context) (nc, socket net.Conn, err error) {
	if s.name == nil {
		return s.dial(ctx, s.address.network, s.address.address, s.tlsName)
	}
	ips, err := s.name.dialled(ctx, s)
	for _, ip := range ips {
		nc, socket, err = s.dial(ctx, "tcp", net.JoinHostPort(ip.String(), s.name.port), s.tlsName)
		if err == nil || timedOut(err) || ctx.Err() != nil {
			break
		}
	}
	return nc, socket, err
}

// dial returns a connection, and the socket under it.
func (d *dialing) dial(ctx context.Context, network, address, tlsName string) (nc, socket net.Conn, err error) {
	via := d.via
	if via == nil {
		via = new(net.Dialer).DialContext
	}
	socket, err = via(ctx, network, address)
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := socket.(*net.TCPConn); ok && !d.noDelay {
		tcp.SetNoDelay(false)
	}
	if nc, err = d.secure(ctx, socket, tlsName); err == nil {
		err = d.login.logIn(ctx, nc)
	}
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	return nc, socket, nil
}

// secure returns a connection over socket, with TLS if there is to be that.
func (d *dialing) secure(ctx context.Context, socket net.Conn, tlsName string) (net.Conn, error) {
	if d.tls == nil {
		return socket, nil
	}
	config := d.tls.current(ctx)
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName = tlsName
	}
	secure := tls.Client(socket, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, explainTLS(err)
	}
	return secure, nil
}
