package memcached

import (
	"bytes"
	"errors"
	"fmt"
)

// A reply follows the bytes of one reply on their way to the client, for what the client
// doesn't look at: it makes room for whatever size a value is announced with, takes any number
// of values, takes OK for any kind of success, and leaves what comes after the end of the reply
// to the next operation. Every reply is any number of values, each a line "VALUE key flags size"
// and so many bytes, and one last line.
type reply struct {
	values int    // how many there may be from here on
	line   []byte // the line so far
	value  int    // how many bytes of the value are still to come
	ended  bool
	last   string // the last line has to be this for a success, unless it is empty
	odd    bool   // it was another
	stray  bool   // bytes came after the end
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
			r.stray = true
			return nil
		case r.value > 0:
			n := min(r.value, len(p))
			r.value -= n
			p = p[n:]
		default:
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				r.line = append(r.line, p[:min(len(p), maxLine)]...)
				if len(r.line) > maxLine {
					r.line = r.line[:maxLine] // it is no value; the client gives up on it
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
		r.odd = r.last != "" && string(line) != r.last
		return nil
	}
	size, ok := valueSize(line)
	if !ok {
		return fmt.Errorf("unreadable reply: %q", line)
	}
	if r.values--; r.values < 0 {
		return errors.New("more values than were asked for")
	}
	if size > uint64(max) {
		return fmt.Errorf("%w: %d bytes, max_item_size is %d", errOversize, size, max)
	}
	r.value = int(size) + len("\r\n")
	return nil
}

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
