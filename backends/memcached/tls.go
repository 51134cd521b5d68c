package memcached

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/logging"
)

// tlsFiles are the certificates for connections with TLS, in files that are read again when one is dialled, so that what
// is renewed there needs no Configure. While a file can't be read, or is half-written, what was read last stays. Files are
// small and handshakes are not: what they hold is compared, and not when they were written.
type tlsFiles struct {
	ca, cert, key string // the names of the files; empty: there is none
	lines         logging.Limiter

	mu     sync.Mutex
	read   [3][]byte   // what config was made of
	config *tls.Config // never changed
}

// readTLS reads the options about TLS. One of the files turns it on.
func readTLS(r *engine.OptionReader) (*tlsFiles, error) {
	var others []string // the options that mean nothing without TLS, and nothing beside a *tls.Config
	for _, name := range []string{"tls_ca", "tls_cert", "tls_key", "tls_server_name"} {
		if r.Given(name) {
			others = append(others, name)
		}
	}
	leftOver := func(what string) error {
		return fmt.Errorf("%w: memcached option %s is given, and tls is %s: leave one out", cacheutils.ErrConfig, others[0], what)
	}
	if value, ok := r.Value("tls"); ok {
		if config, ok := value.(*tls.Config); ok && config != nil {
			if len(others) > 0 {
				return nil, leftOver("a *tls.Config, which has all of that")
			}
			return &tlsFiles{config: config.Clone()}, nil
		}
	}
	on := r.Bool("tls", len(others) > 0)
	f := &tlsFiles{ca: r.String("tls_ca", ""), cert: r.String("tls_cert", ""), key: r.String("tls_key", "")}
	f.config = &tls.Config{ServerName: r.String("tls_server_name", "")}
	switch {
	case !on && len(others) > 0:
		return nil, leftOver("false")
	case !on:
		return nil, nil
	}
	if f.cert == "" && f.key != "" {
		return nil, fmt.Errorf("%w: memcached options tls_cert and tls_key: a key without a certificate: set tls_cert", cacheutils.ErrConfig)
	}
	if f.key == "" {
		f.key = f.cert // both in one file
	}
	if err := f.reload(); err != nil {
		return nil, fmt.Errorf("%w: memcached %w", cacheutils.ErrConfig, err)
	}
	return f, nil
}

// current returns what a connection that is dialled now uses.
func (f *tlsFiles) current() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reload(); err != nil {
		f.lines.Log(logging.LevelWarn, "files", logging.Event{
			Action: logging.ActionNotice, Err: errtext.Bare(err),
			Text: "cacheutils: memcached goes on with the certificates that it has, since the new ones can't be read",
		})
	}
	return f.config
}

// reload makes another config if the files hold something else than what the one there was made of. The caller holds mu.
func (f *tlsFiles) reload() error {
	var read [3][]byte
	for i, name := range []string{f.ca, f.cert, f.key} {
		if name == "" {
			continue
		}
		var err error
		if read[i], err = os.ReadFile(name); err != nil {
			return fmt.Errorf("option %s: %w", [...]string{"tls_ca", "tls_cert", "tls_key"}[i], err)
		}
	}
	same := true
	for i := range read {
		same = same && bytes.Equal(read[i], f.read[i])
	}
	if same {
		return nil
	}
	config := f.config.Clone()
	if f.ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(read[0]) {
			return fmt.Errorf("option tls_ca: %s has no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.X509KeyPair(read[1], read[2])
		if err != nil {
			return fmt.Errorf("options tls_cert and tls_key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	f.read, f.config = read, config
	return nil
}
