package memcached

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A reply follows the bytes of one reply on their way to the client, for what the client doesn't handle: it
// makes room for whatever size a value is announced with, takes any number of values, takes OK for any kind of
// success, and leaves what comes after the end of the reply to the next operation. Every reply is any number of
// values, each a line "VALUE key flags size" and so many bytes, and one last line.
//
// The values of a multi-get it takes itself, where the client would make a map of them: the client
// sees a reply without any.
type reply struct {
	values     int    // how many there may be from here on
	take       taker  // gets the values, unless it is nil
	taken      taken  // the value under way
	memory     []byte // for values
	line       []byte // the line so far
	value      int    // how many bytes of the value are still to come
	ended      bool
	last       string // the last line has to be this for a success, unless it is empty
	unexpected bool   // it was another
	got        string // which one
	extra      bool   // bytes came after the end
}

// A taker gets the values of a reply, in its order, each as soon as it has arrived.
type taker func(taken) error

// taken is a value that was taken out of a reply. The key is to be used at once.
type taken struct {
	key   []byte
	flags uint32
	cas   uint64
	value []byte
}

// errOversize says that the server has a value which is not read.
var errOversize = errors.New("value is larger than max_item_size")

// valuePrefix begins the line of a value.
var valuePrefix = []byte("VALUE ")

// maxLine is longer than any line of a value can be.
const maxLine = maxKey + 100

// read takes the next bytes. An announced value of more than max bytes is an error.
func (r *reply) read(p []byte, max int) error {
	for len(p) > 0 {
		switch {
		case r.ended:
			r.extra = true
			return nil
		case r.value > 0:
			n := min(r.value, len(p))
			if r.take != nil {
				if err := r.takePart(p[:n]); err != nil {
					return err
				}
			}
			r.value -= n
			p = p[n:]
		default:
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				r.line = append(r.line, p[:min(len(p), maxLine)]...)
				if len(r.line) >= maxLine {
					r.line = r.line[:maxLine] // it is not a value; the client gives up on it
					if r.take != nil {
						return unreadable(r.line)
					}
				}
				return nil
			}
			line := p[:end]
			if len(r.line) > 0 {
				line = append(r.line, line...)
			}
			if err := r.endLine(line, max); err != nil {
				return err
			}
			r.line = r.line[:0]
			p = p[end+1:]
		}
	}
	return nil
}

func (r *reply) endLine(line []byte, max int) error {
	if !bytes.HasPrefix(line, valuePrefix) {
		r.ended = true
		r.unexpected = r.last != "" && string(line) != r.last
		if r.unexpected {
			if r.got = string(line); r.take != nil {
				return unreadable(line)
			}
		}
		return nil
	}
	var size uint64
	var ok bool
	if r.take != nil {
		size, ok = r.taken.begin(line)
	} else {
		size, ok = valueSize(line)
	}
	if !ok {
		return unreadable(line)
	}
	if r.values--; r.values < 0 {
		return errors.New("more values than were requested")
	}
	if size > uint64(max) {
		return fmt.Errorf("%w: %d bytes, max_item_size is %d", errOversize, size, max)
	}
	r.value = int(size) + len("\r\n")
	if r.take != nil {
		r.taken.value = r.room(r.value)[:0]
	}
	return nil
}

func unreadable(line []byte) error {
	return fmt.Errorf("unreadable reply: %s", quote(string(line)))
}

// quote quotes the beginning of what a server has sent. That may be what it was sent, with keys that are secret, so it ends at the
// first character that a key may begin with, or its prefix end with, and that has no place in a reply of memcached.
func quote(line string) string {
	if i := strings.IndexAny(line, ":/'\"([{<"); i >= 0 && !strings.HasPrefix(line, "HTTP/") {
		return errtext.Quote(line[:i]) + "..."
	}
	return errtext.Quote(line)
}

// quoted returns an error of the client with no more of the reply than a quotation.
func quoted(err error) error {
	if err == nil || answer(err) {
		return err
	}
	const clientError = "memcache: client error: "
	text := err.Error()
	if said, ok := strings.CutPrefix(text, clientError); ok {
		return errtext.Replace(err, clientError+quote(said))
	}
	before, line, ok := strings.Cut(text, `: "`)
	if !ok || !strings.HasPrefix(text, "memcache: ") {
		return err
	}
	line, unquoted := strconv.Unquote(`"` + line)
	if unquoted != nil {
		return err
	}
	return errtext.Replace(err, before+": "+quote(line))
}

// largestRoom bounds how much memory values share, all of which lives as long as one of them.
const largestRoom = 16 << 10

// room returns memory for n bytes. The values of a reply share some, as much as if all that may come
// were as long as this one.
func (r *reply) room(n int) []byte {
	if n > len(r.memory) {
		r.memory = make([]byte, max(n, min(n*(r.values+1), largestRoom)))
	}
	room := r.memory[:n]
	r.memory = r.memory[n:]
	return room
}

// takePart takes the next bytes of a value, and of the end of its line.
func (r *reply) takePart(part []byte) error {
	t := &r.taken
	t.value = append(t.value, part...)
	if len(part) < r.value {
		return nil
	}
	size := len(t.value) - len("\r\n")
	if string(t.value[size:]) != "\r\n" {
		return errors.New("unreadable reply: a value doesn't end where it was to")
	}
	t.value = t.value[:size:size]
	return r.take(*t)
}

// begin reads the line of a value, VALUE key flags size cas, but for the value, whose size it returns.
func (t *taken) begin(line []byte) (size uint64, ok bool) {
	line, ok = bytes.CutSuffix(line[len(valuePrefix):], []byte("\r"))
	key, rest, hasFlags := bytes.Cut(line, space)
	flags, rest, hasSize := bytes.Cut(rest, space)
	length, cas, hasCAS := bytes.Cut(rest, space)
	if !ok || !hasFlags || !hasSize {
		return 0, false
	}
	t.key, t.cas = append(t.key[:0], key...), 0
	f, err := strconv.ParseUint(string(flags), 10, 32)
	t.flags = uint32(f)
	if err != nil {
		return 0, false
	}
	if hasCAS {
		if t.cas, err = strconv.ParseUint(string(cas), 10, 64); err != nil {
			return 0, false
		}
	}
	size, err = strconv.ParseUint(string(length), 10, 32)
	return size, err == nil
}

var space = []byte(" ")

// valueSize returns the fourth word of the line of a value, which is its size.
func valueSize(line []byte) (size uint64, ok bool) {
	for range 3 {
		line = bytes.TrimLeft(line, " \r")
		if i := bytes.IndexByte(line, ' '); i >= 0 {
			line = line[i:]
		} else {
			return 0, false
		}
	}
	line = bytes.TrimLeft(line, " ")
	digits := 0
	for ; digits < len(line) && '0' <= line[digits] && line[digits] <= '9' && digits < 10; digits++ {
		size = size*10 + uint64(line[digits]-'0')
	}
	ends := digits == len(line) || line[digits] == ' ' || line[digits] == '\r'
	return size, digits > 0 && ends
}
