package memcached

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// dialing is how connections are made.
type dialing struct {
	noDelay bool
	tls     *tls.Config // nil: without TLS

	// via makes the socket; net.Dialer does but for tests.
	via func(ctx context.Context, network, address string) (net.Conn, error)
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
	if d.tls == nil {
		return socket, socket, nil
	}
	config := d.tls
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName = tlsName
	}
	secure := tls.Client(socket, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		socket.Close()
		return nil, nil, explainTLS(err)
	}
	return secure, socket, nil
}

// readTLS reads the options about TLS. One of the files turns it on.
func readTLS(r *engine.OptionReader) (*tls.Config, error) {
	if value, ok := r.Value("tls"); ok {
		if config, ok := value.(*tls.Config); ok && config != nil {
			return config.Clone(), nil
		}
	}
	on := r.Bool("tls", r.Given("tls_ca") || r.Given("tls_cert") || r.Given("tls_key") || r.Given("tls_server_name"))
	ca, cert, key := r.String("tls_ca", ""), r.String("tls_cert", ""), r.String("tls_key", "")
	name := r.String("tls_server_name", "")
	if !on {
		return nil, nil
	}
	config := &tls.Config{ServerName: name}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%w: memcached option tls_ca: %w", cacheutils.ErrConfig, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: memcached option tls_ca: %s has no certificate in PEM", cacheutils.ErrConfig, ca)
		}
	}
	if cert != "" || key != "" {
		if key == "" {
			key = cert // both in one file
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%w: memcached options tls_cert and tls_key: %w", cacheutils.ErrConfig, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
