//go:build linux

package faultproxy

import "time"

// A fault is what the proxy does besides passing bytes on. The zero fault is none.
type fault struct {
	refuses bool // nobody listens
	hangs   bool // connects are not answered
	loses   bool // requests and replies don't arrive

	late   time.Duration             // how long each reply is held back
	every  time.Duration             // between one byte of a reply and the next
	edit   func(reply []byte) []byte // what becomes of a reply
	ending ending                    // how the connection ends within a reply
	after  int                       // bytes of it
}

// An ending is how a connection is closed within a reply.
type ending int

const (
	none ending = iota
	fin
	rst
)

// Pass ends whatever fault there is. Connections that a black hole has swallowed requests of work
// again, but those requests are lost.
func (p *Proxy) Pass() {
	p.tb.Helper()
	p.set(fault{})
}

// Refuse closes every connection and refuses new ones, as when no server runs. Pass listens at
// the same address again.
func (p *Proxy) Refuse() {
	p.tb.Helper()
	p.set(fault{refuses: true})
}

// BlackHole accepts connections, reads what comes and never answers.
func (p *Proxy) BlackHole() {
	p.tb.Helper()
	p.set(fault{loses: true})
}

// SYNBlackHole is BlackHole without accepting: a client that connects waits for an answer.
func (p *Proxy) SYNBlackHole() {
	p.tb.Helper()
	p.set(fault{loses: true, hangs: true})
}

// Latency holds each reply back for d.
func (p *Proxy) Latency(d time.Duration) {
	p.tb.Helper()
	p.set(fault{late: d})
}

// Drip sends the bytes of replies one by one, with that time between two.
func (p *Proxy) Drip(every time.Duration) {
	p.tb.Helper()
	p.set(fault{every: every})
}

// Reset sends that many bytes of a reply, or all it has, and then resets the connection.
func (p *Proxy) Reset(after int) {
	p.tb.Helper()
	p.set(fault{ending: rst, after: after})
}

// FIN sends that many bytes of a reply, or all it has, and then closes the connection in order.
func (p *Proxy) FIN(after int) {
	p.tb.Helper()
	p.set(fault{ending: fin, after: after})
}

// Cut leaves n bytes out of the middle of each value, all of it if it is shorter. Its length is
// announced as it was.
func (p *Proxy) Cut(n int) {
	p.tb.Helper()
	p.Rewrite(func(reply []byte) []byte { return cut(reply, n) })
}

// Garbage sends these bytes in place of each reply.
func (p *Proxy) Garbage(instead []byte) {
	p.tb.Helper()
	p.Rewrite(func([]byte) []byte { return instead })
}

// Rewrite sends what f makes of each reply, which is complete and f's own. f is called by many
// goroutines at once. Nothing is sent where it returns nothing.
func (p *Proxy) Rewrite(f func(reply []byte) []byte) {
	p.tb.Helper()
	p.set(fault{edit: f})
}
