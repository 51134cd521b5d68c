package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// What befalls a server as a whole.

// befall has something happen to a server or a clock, now and then.
func (w *world) befall(note func(kind, what string)) {
	server := func() *server { return w.servers[w.rng.IntN(len(w.servers))] }
	if w.faults[clocks] && w.rng.IntN(150) == 0 {
		p := w.processes[w.rng.IntN(len(w.processes))]
		note(clocks, fmt.Sprint(p.name, " is ahead by ", w.setClock(p)))
	}
	if w.faults[freezes] && w.rng.IntN(300) == 0 {
		s, for_ := server(), time.Duration(w.rng.IntN(10_000))*time.Millisecond
		s.frozen = time.Now().Add(for_)
		note(freezes, fmt.Sprint(s.name, " for ", for_))
	}
	if w.faults[drops] && w.rng.IntN(200) == 0 {
		s := server()
		note(drops, s.name)
		w.drop(s)
	}
	if w.faults[restarts] && w.rng.IntN(400) == 0 {
		s, for_ := server(), time.Duration(w.rng.IntN(1000))*time.Millisecond
		note(restarts, fmt.Sprint(s.name, " after ", for_))
		clear(s.items)
		s.away = time.Now().Add(for_)
		w.drop(s)
	}
	if w.faults[restores] {
		switch n := w.rng.IntN(300); {
		case n < 2:
			s := server()
			s.snapshot = maps.Clone(s.items)
		case n == 2:
			if s := server(); s.snapshot != nil {
				note(restores, s.name)
				s.items = maps.Clone(s.snapshot)
				w.drop(s)
				w.restored = min(w.restored, w.step)
			}
		}
	}
}

// drop has all connections to the server break: what was asked for is not carried out, and what was carried out is not
// answered.
func (w *world) drop(s *server) {
	w.mu.Lock()
	for _, e := range w.pending {
		if e.remote && e.at == s.bit {
			e.back, e.err = true, errFault
		}
	}
	slices.SortStableFunc(w.pending, (*event).compare)
	sessions := slices.Clone(s.sessions)
	w.mu.Unlock()
	for _, session := range sessions {
		w.post(&event{from: session.p, verb: "breaks", object: fmt.Sprintf("(%s, connection %d)", s.name, session.number), done: make(chan struct{}), effect: func() error {
			session.closed()
			return session.nc.Close()
		}})
	}
}

// frozen returns the bits of the servers that do nothing at the moment, and go on later.
func (w *world) frozen(now time.Time) (bits uint8) {
	for _, s := range w.servers {
		if now.Before(s.frozen) {
			bits |= s.bit
		}
	}
	return bits
}

// connect notes that there is one more connection to the server.
func (s *session) connect() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.server.sessions = append(s.server.sessions, s)
}

// disconnect notes that the connection is closed.
func (s *session) disconnect() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.server.sessions = slices.DeleteFunc(s.server.sessions, func(other *session) bool { return other == s })
}

// send sends the answer to a command: now and then twice, or after an earlier one that can't be its own. A client that has got
// more than it has asked for doesn't know what comes next, so it has to close the connection.
func (s *session) send(c *command, answer string, repeats bool) error {
	last := s.last
	s.last = answer
	if repeats {
		s.repeated = true
		if isForeign(last, c) {
			answer = last + answer
		} else {
			answer += answer
		}
	}
	_, err := io.WriteString(s.nc, answer)
	return err
}

// isForeign reports whether an answer shows that it is not one to the command.
func isForeign(answer string, c *command) bool {
	word, rest, _ := strings.Cut(answer, " ")
	isGet := c.verb == "get" || c.verb == "gets"
	switch word {
	case "":
		return false
	case "VALUE":
		key, _, _ := strings.Cut(rest, " ")
		return !isGet || !slices.Contains(c.keys, key)
	case "END\r\n":
		return !isGet
	case "STORED\r\n":
		return !c.stores()
	case "DELETED\r\n":
		return c.verb != "delete"
	default:
		return isGet
	}
}

// breaks notes that a law is broken.
func (w *world) breaks(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// mayNotAnswer reports whether a server may not have answered in time, or at all.
func (h *history) mayNotAnswer() bool {
	return slices.ContainsFunc([]string{broken, outages, stops, freezes, drops, restarts, restores, repeats}, func(fault string) bool { return h.plan.faults[fault] })
}
