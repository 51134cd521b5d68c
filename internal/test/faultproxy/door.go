//go:build linux

package faultproxy

import "io"

// A door is how the proxy receives connections.
type door struct {
	state
	closer io.Closer // nil while shut
}

type state int

const (
	shut   state = iota // they are refused
	open                // they are accepted
	silent              // they are not answered
)

func (d *door) close() {
	if d.closer != nil {
		d.closer.Close()
	}
	*d = door{}
}

// openDoor brings the door into the state that f asks for; p.mu is held.
func (p *Proxy) openDoor(f fault) error {
	want := open
	switch {
	case f.refuses:
		want = shut
	case f.hangs:
		want = silent
	}
	if p.door.state == want {
		return nil
	}
	p.door.close()
	switch want {
	case open:
		listener, err := p.port.listen()
		if err != nil {
			return err
		}
		p.door = door{open, listener}
		p.running.Go(func() { p.accept(listener) })
	case silent:
		quiet, err := p.port.silence()
		if err != nil {
			return err
		}
		p.door = door{silent, quiet}
	}
	return nil
}
