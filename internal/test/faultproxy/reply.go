//go:build linux

package faultproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// readReply reads one reply: any number of values and statistics, and one last line.
func readReply(in *bufio.Reader) ([]byte, error) {
	var reply []byte
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		reply = append(reply, line...)
		switch {
		case bytes.HasPrefix(line, []byte("STAT ")):
		case bytes.HasPrefix(line, []byte("VALUE ")):
			size, err := valueSize(line)
			if err != nil {
				return nil, err
			}
			start := len(reply)
			reply = append(reply, make([]byte, size+len("\r\n"))...)
			if _, err := io.ReadFull(in, reply[start:]); err != nil {
				return nil, err
			}
		default:
			return reply, nil
		}
	}
}

// valueSize returns the size that the line of a value, "VALUE key flags size", announces.
func valueSize(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) < 4 {
		return 0, fmt.Errorf("the line of a value has no size: %q", line)
	}
	return strconv.Atoi(string(fields[3]))
}

// cut leaves n bytes out of the middle of each value in a reply.
func cut(reply []byte, n int) []byte {
	var out []byte
	for bytes.HasPrefix(reply, []byte("VALUE ")) {
		head := bytes.IndexByte(reply, '\n') + 1
		size, err := valueSize(reply[:head])
		if err != nil {
			break
		}
		missing := min(n, size)
		from := head + (size-missing)/2
		end := head + size + len("\r\n")
		out = slices.Concat(out, reply[:from], reply[from+missing:end])
		reply = reply[end:]
	}
	return append(out, reply...)
}
