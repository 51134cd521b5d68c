package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

// The second kind of server speaks memcached's text protocol, under the real engine: its pool, breaker, timeouts, retries, replay
// and hashing are simulated too. Connections are pipes in memory, which the option dialer makes.
//
//	operation  waits for its turn before the engine gets it. So of those that become possible at once one comes first, and the
//	           pool is used by one at a time. It waits again before it fails.
//	dial       is an event with an answer. The connection gets its number when it is picked.
//	command    is an event with an answer: it is carried out when the first is picked, and answered when the second is.
//
// A fault closes the connection: before the command is carried out, or after that, with all, some or nothing of the answer.

// A network is what the engine is told of the servers that it reaches over connections.
type network struct {
	conns, failures, replay int
}

// networkFor returns the network of a seed, or nil if there is none, as for three of four.
func networkFor(seed uint64) *network {
	rng := rand.New(rand.NewPCG(seed, 2))
	if rng.IntN(4) > 0 {
		return nil
	}
	return &network{conns: []int{1, 2, 64}[rng.IntN(3)], failures: []int{1, 3}[rng.IntN(2)], replay: []int{0, 10}[rng.IntN(2)]}
}

func init() {
	engine.Register(engine.Driver{Names: []string{"sim-memcached"}, Open: func(s engine.Settings) (engine.Engine, error) {
		p, set := simulated.processes[s.Options["process"].(int)], s.Options["set"].(int)
		delete(s.Options, "process")
		delete(s.Options, "set")
		e, err := memcached.Open(s)
		if err != nil {
			return nil, err
		}
		return ordered{e, simulated, p, set}, nil
	}})
}

// reach completes the settings of a process's backend.
func (w *world) reach(s *backends.Settings, index, set int) {
	n := w.plan.config.network
	s.Backend = "sim-memcached"
	for i := range w.servers {
		s.Location = append(s.Location, address(i))
	}
	maps.Copy(s.Options, map[string]any{
		"tls": false, "clear": "flush_all", "max_conns": n.conns, "breaker_failures": n.failures, "invalidation_replay": n.replay,
		"dialer": func(ctx context.Context, _, address string) (net.Conn, error) {
			return w.dial(ctx, w.processes[index], set, address)
		},
	})
}

// address is where the i-th server listens.
func address(i int) string { return fmt.Sprintf("10.0.0.%d:11211", i+1) }

// An ordered engine has each operation wait for its turn, and once more before it fails: a connection that breaks, or a server
// that counts as down from then on, may be the end of several at once.
type ordered struct {
	engine.Engine
	w   *world
	p   *process
	set int // of the process
}

func (o ordered) Unwrap() engine.Engine { return o.Engine }

// do carries out an operation.
func (o ordered) do(ctx context.Context, text string, item []byte, operation func() error) error {
	o.turn(ctx, "asks", text, item)
	err := operation()
	if err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
		o.turn(ctx, "fails", text, item)
	}
	return err
}

// turn returns when it is the operation's turn, or ctx has ended.
func (o ordered) turn(ctx context.Context, verb, text string, item []byte) {
	if ended(ctx) != nil {
		return
	}
	e := &event{from: o.p, set: o.set, verb: verb, object: text, item: item, caller: callerOf(ctx), done: make(chan struct{})}
	o.w.post(e)
	if !e.wait(ctx.Done()) {
		o.w.withdraw(e)
	}
}

// withdraw takes away an event for which nobody waits any more.
func (w *world) withdraw(e *event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = slices.DeleteFunc(w.pending, func(other *event) bool { return other == e })
}

func (o ordered) Get(ctx context.Context, key string) (item engine.Item, err error) {
	err = o.do(ctx, "for get "+key, nil, func() (err error) {
		item, err = o.Engine.Get(ctx, key)
		return err
	})
	return item, err
}

func (o ordered) GetMany(ctx context.Context, keys []string) (items map[string]engine.Item, err error) {
	err = o.do(ctx, "for getmany "+strings.Join(keys, " "), nil, func() (err error) {
		items, err = o.Engine.GetMany(ctx, keys)
		return err
	})
	return items, err
}

func (o ordered) GetEach(ctx context.Context, keys []string, each func(int, engine.Item)) error {
	return o.do(ctx, "for geteach "+strings.Join(keys, " "), nil, func() error {
		return o.Engine.(engine.EachGetter).GetEach(ctx, keys, each)
	})
}

func (o ordered) Set(ctx context.Context, key string, i engine.Item, timeout time.Duration) error {
	return o.do(ctx, "for set "+key, i.Value, func() error { return o.Engine.Set(ctx, key, i, timeout) })
}

func (o ordered) Add(ctx context.Context, key string, i engine.Item, timeout time.Duration) (added bool, err error) {
	err = o.do(ctx, "for add "+key, i.Value, func() (err error) {
		added, err = o.Engine.Add(ctx, key, i, timeout)
		return err
	})
	return added, err
}

func (o ordered) CompareAndSwap(ctx context.Context, key string, i engine.Item, timeout time.Duration) (swapped bool, err error) {
	err = o.do(ctx, "for cas "+key, i.Value, func() (err error) {
		swapped, err = o.Engine.CompareAndSwap(ctx, key, i, timeout)
		return err
	})
	return swapped, err
}

func (o ordered) Delete(ctx context.Context, key string) (had bool, err error) {
	err = o.do(ctx, "for delete "+key, nil, func() (err error) {
		had, err = o.Engine.Delete(ctx, key)
		return err
	})
	return had, err
}

func (o ordered) Incr(ctx context.Context, key string, delta int64) (sum int64, err error) {
	err = o.do(ctx, "for incr "+key, nil, func() (err error) {
		sum, err = o.Engine.Incr(ctx, key, delta)
		return err
	})
	return sum, err
}

// ReplayDelete waits for its turn: what is carried out later is so in the order in which it came.
func (o ordered) ReplayDelete(key string) bool {
	o.w.turnIn(o.p, o.set, "queues", "delete "+key)
	return o.Engine.(engine.Replayer).ReplayDelete(key)
}

func (o ordered) Clear(ctx context.Context, prefix string) error {
	return o.do(ctx, "for clear", nil, func() error { return o.Engine.Clear(ctx, prefix) })
}

// A dialled connection is a process's end of it.
type dialled struct {
	net.Conn
	closed context.CancelFunc
}

func (d dialled) Close() error {
	d.closed()
	return d.Conn.Close()
}

// dial connects a process to a server.
func (w *world) dial(ctx context.Context, p *process, set int, at string) (net.Conn, error) {
	index := slices.IndexFunc(w.servers, func(s *server) bool { return at == address(slices.Index(w.servers, s)) })
	s := w.servers[index]
	number := 0
	err := w.request(ctx, p, set, s.bit, "dial", s.name, nil, func() error {
		if time.Now().Before(s.away) {
			return errFault
		}
		s.dialled++
		number = s.dialled
		return nil
	})
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	open, closed := context.WithCancel(context.Background())
	session := &session{w: w, p: p, server: s, number: number, nc: far, in: bufio.NewReader(far), closed: closed}
	session.connect()
	go session.serve(open)
	return dialled{near, closed}, nil
}

// A session is a server's end of a connection.
type session struct {
	w      *world
	p      *process // at the other end
	server *server
	number int
	nc     net.Conn
	in     *bufio.Reader
	closed context.CancelFunc // ends what is under way

	last     string // answer
	repeated bool   // one was sent twice
}

// serve carries out what is asked for, until the connection is closed.
func (s *session) serve(open context.Context) {
	defer s.nc.Close()
	defer s.disconnect()
	where := fmt.Sprintf(" (%s, connection %d)", s.server.name, s.number)
	for {
		c, err := s.read()
		if err != nil {
			return
		}
		if s.repeated {
			s.w.breaks("law 1: %s is asked for %s %v over the connection %d, on which there was one answer more than had been asked for", s.server.name, c.verb, c.keys, s.number)
		}
		var answer string // written by the scheduler
		cut, repeat := 0, false
		err = s.w.request(open, s.p, 0, s.server.bit, c.verb, strings.Join(c.keys, " ")+where, c.data, func() error {
			if time.Now().Before(s.server.away) {
				return errFault
			}
			answer = s.answer(c)
			cut = s.w.rng.IntN(len(answer) + 1)
			if repeat = s.w.faults[repeats] && s.w.rng.IntN(50) == 0; repeat {
				s.w.count(repeats)
			}
			return nil
		})
		switch {
		case err == nil:
			err = s.send(c, answer, repeat)
		case errors.Is(err, errFault) && answer != "":
			io.WriteString(s.nc, answer[:cut])
		}
		if err != nil {
			return
		}
	}
}

// answer carries out a command, unless there is no memory for it.
func (s *session) answer(c *command) string {
	if c.stores() && s.w.faults[broken] && s.w.rng.IntN(100) == 0 {
		s.w.met["no-memory"]++
		delete(s.server.items, c.keys[0]) // as memcached does, so that nothing from before stays
		return "SERVER_ERROR out of memory storing object\r\n"
	}
	return s.server.carryOut(c)
}

// A command is what a client sends.
type command struct {
	verb    string
	keys    []string
	numbers []uint64 // after the key
	ends    int64    // the number of seconds, or the time, that an item is told to end at
	data    []byte
}

func (c *command) stores() bool { return c.verb == "set" || c.verb == "add" || c.verb == "cas" }

var errCommand = errors.New("sim: a command that memcached doesn't have")

// read reads the next command.
func (s *session) read() (*command, error) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	words := strings.Fields(line)
	if len(words) == 0 || !strings.HasSuffix(line, "\r\n") {
		return nil, errCommand
	}
	c := &command{verb: words[0]}
	words = words[1:]
	switch c.verb {
	case "get", "gets":
		c.keys = words
		return c, nil
	case "flush_all", "version", "delete":
		c.keys = words
		return c, nil
	}
	if len(words) == 0 {
		return nil, errCommand
	}
	c.keys = words[:1]
	for i, word := range words[1:] {
		if i == 1 && c.stores() || c.verb == "touch" {
			if c.ends, err = strconv.ParseInt(word, 10, 64); err != nil {
				return nil, errCommand
			}
			c.numbers = append(c.numbers, 0)
			continue
		}
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, errCommand
		}
		c.numbers = append(c.numbers, n)
	}
	if c.stores() { // flags, end, size, and of a cas its number
		if len(c.numbers) < 3 || c.verb == "cas" && len(c.numbers) < 4 {
			return nil, errCommand
		}
		c.data = make([]byte, c.numbers[2]+2)
		if _, err := io.ReadFull(s.in, c.data); err != nil {
			return nil, err
		}
		c.data = c.data[:len(c.data)-2]
	}
	return c, nil
}

// carryOut does what memcached does, and returns its answer.
func (s *server) carryOut(c *command) string {
	key := ""
	if len(c.keys) > 0 {
		key = c.keys[0]
	}
	is, there := s.get(key)
	switch c.verb {
	case "get", "gets":
		var b strings.Builder
		for _, key := range c.keys {
			i, ok := s.get(key)
			switch {
			case ok && c.verb == "gets":
				fmt.Fprintf(&b, "VALUE %s %d %d %d\r\n%s\r\n", key, i.Flags, len(i.Value), i.CAS, i.Value)
			case ok:
				fmt.Fprintf(&b, "VALUE %s %d %d\r\n%s\r\n", key, i.Flags, len(i.Value), i.Value)
			}
		}
		return b.String() + "END\r\n"
	case "set":
	case "add":
		if there {
			return "NOT_STORED\r\n"
		}
	case "cas":
		switch {
		case !there:
			return "NOT_FOUND\r\n"
		case is.CAS != c.numbers[3]:
			return "EXISTS\r\n"
		}
	case "delete":
		if !there {
			return "NOT_FOUND\r\n"
		}
		delete(s.items, key)
		return "DELETED\r\n"
	case "incr", "decr":
		return s.count(c, key, is, there)
	case "touch":
		if !there {
			return "NOT_FOUND\r\n"
		}
		is.ends = endOf(c.ends)
		s.items[key] = is
		return "TOUCHED\r\n"
	case "flush_all":
		clear(s.items)
		s.cas++
		return "OK\r\n"
	case "version":
		return "VERSION 1.6.40\r\n"
	default:
		return "ERROR\r\n"
	}
	s.cas++
	s.items[key] = item{engine.Item{Value: c.data, Flags: uint32(c.numbers[0]), CAS: s.cas}, endOf(c.ends)}
	return "STORED\r\n"
}

// count is incr and decr.
func (s *server) count(c *command, key string, is item, there bool) string {
	if !there {
		return "NOT_FOUND\r\n"
	}
	had, err := strconv.ParseUint(strings.TrimRight(string(is.Value), " "), 10, 64)
	if err != nil {
		return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	}
	n := had + c.numbers[0]
	if c.verb == "decr" {
		n = had - min(had, c.numbers[0])
	}
	text := strconv.FormatUint(n, 10)
	s.cas++
	is.Value, is.CAS = fmt.Appendf(nil, "%-*s", len(is.Value), text), s.cas
	s.items[key] = is
	return text + "\r\n"
}

// endOf is when an item ends that was told so: in whole seconds, of a clock that ticks once a second.
func endOf(seconds int64) time.Time {
	const most = 30 * 24 * 60 * 60 // as memcached has it
	now := time.Now()
	switch {
	case seconds == 0:
		return now.AddDate(100, 0, 0)
	case seconds < 0:
		return now
	case seconds > most:
		return time.Unix(seconds, 0)
	}
	return time.Unix(now.Unix()+seconds, 0)
}
