//go:build linux

package faultproxy

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// A link is one connection of a client and the one to the server that belongs to it. It ends when
// either is closed.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	once   sync.Once
	ended  chan struct{} // closed when the link ends
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	return &link{proxy: p, client: client, ended: make(chan struct{})}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.ended)
		l.client.Close()
	})
}

func (l *link) run() {
	defer l.proxy.leave(l)
	defer l.close()
	server, err := net.Dial("tcp", l.proxy.server)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		defer l.close()
		l.requests(server)
	})
	both.Go(func() {
		defer l.close()
		l.replies(server)
	})
	both.Wait()
}

// requests passes on what the client sends until it closes its connection.
func (l *link) requests(server net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buffer)
		if err != nil {
			return
		}
		if f, _ := l.proxy.current(); f.loses {
			continue
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// replies passes on what the server sends until it closes its connection.
func (l *link) replies(server net.Conn) {
	in := bufio.NewReaderSize(server, 32<<10)
	for {
		reply, err := readReply(in)
		if err != nil || l.deliver(reply) != nil {
			return
		}
	}
}

// deliver sends a reply, or what the fault makes of it.
func (l *link) deliver(reply []byte) error {
	f, switched := l.proxy.current()
	if f.late > 0 {
		l.wait(f.late, switched)
		f, switched = l.proxy.current()
	}
	if f.loses {
		return nil
	}
	if f.edit != nil {
		reply = f.edit(reply)
	}
	if f.ending != none {
		return l.end(reply[:min(f.after, len(reply))], f.ending)
	}
	if f.every > 0 {
		return l.drip(reply, f.every, switched)
	}
	_, err := l.client.Write(reply)
	return err
}

// end sends the last bytes and closes the client's connection.
func (l *link) end(last []byte, how ending) error {
	if _, err := l.client.Write(last); err != nil {
		return err
	}
	if how == rst {
		l.client.SetLinger(0)
	}
	l.close()
	return nil
}

// drip sends one byte at a time. What is left when the fault is switched goes as the next one
// has it.
func (l *link) drip(reply []byte, every time.Duration, switched <-chan struct{}) error {
	for i := range reply {
		if _, err := l.client.Write(reply[i : i+1]); err != nil {
			return err
		}
		if !l.wait(every, switched) {
			return l.deliver(reply[i+1:])
		}
	}
	return nil
}

// wait lasts d, less if the fault is switched or the link ends; it reports whether it was d.
func (l *link) wait(d time.Duration, switched <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-switched:
		return false
	case <-l.ended:
		return false
	}
}
