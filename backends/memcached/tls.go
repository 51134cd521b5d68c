package memcached

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

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

	mu      sync.Mutex
	reading chan struct{} // closed when the files have been read, by one dial for all; nil: nobody reads them
	read    [3][]byte     // what config was made of; of the goroutine that reads
	config  *tls.Config   // never changed
}

// readPatience is how long a dial waits for the files to be read, before it goes on with what was read last: a file system
// may hang.
const readPatience = 50 * time.Millisecond

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
	var err error
	if f.config, err = f.load(); err != nil {
		return nil, fmt.Errorf("%w: memcached %w", cacheutils.ErrConfig, err)
	}
	return f, nil
}

// current returns what a connection that is dialled now uses.
func (f *tlsFiles) current(ctx context.Context) *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ca == "" && f.cert == "" {
		return f.config
	}
	if f.reading == nil {
		f.reading = make(chan struct{})
		go f.readAgain(f.reading)
	}
	reading := f.reading
	f.mu.Unlock()
	timer := time.NewTimer(readPatience)
	select {
	case <-reading:
	case <-timer.C:
	case <-ctx.Done():
	}
	timer.Stop()
	f.mu.Lock()
	return f.config
}

// readAgain reads the files, and then closes done.
func (f *tlsFiles) readAgain(done chan struct{}) {
	defer close(done)
	config, err := f.load()
	if err != nil {
		f.lines.Log(logging.LevelWarn, "files", logging.Event{
			Action: logging.ActionNotice, Err: errtext.Bare(err),
			Text: "cacheutils: memcached goes on with the certificates that it has, since the new ones can't be read",
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = nil
	if err == nil {
		f.config = config
	}
}

// load returns a config of what the files hold: the same one as long as they do. One goroutine at a time calls it.
func (f *tlsFiles) load() (*tls.Config, error) {
	var read [3][]byte
	for i, name := range []string{f.ca, f.cert, f.key} {
		if name == "" {
			continue
		}
		option := [...]string{"tls_ca", "tls_cert", "tls_key"}[i]
		if strings.Contains(name, "-----BEGIN") || strings.ContainsAny(name, "\r\n") { // maybe a key, which no error is to show
			return nil, fmt.Errorf("option %s is the text of a certificate or a key; it has to be the name of the file with it", option)
		}
		var err error
		if read[i], err = os.ReadFile(name); err != nil {
			return nil, errtext.Replace(err, "option "+option+": "+errtext.Visible(err.Error()))
		}
	}
	same := true
	for i := range read {
		same = same && bytes.Equal(read[i], f.read[i])
	}
	if same {
		return f.config, nil
	}
	config := f.config.Clone()
	if f.ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(read[0]) {
			return nil, fmt.Errorf("option tls_ca: %s has no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.X509KeyPair(read[1], read[2])
		if err != nil {
			return nil, fmt.Errorf("options tls_cert and tls_key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	f.read = read
	return config, nil
}
