package cachekey

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is an argument that must not stand in keys, which the operators of servers and readers of logs at level debug
// see: a password, a token, a PIN, an e-mail address. It is rendered as what it can't be read from,
//
//	Secret('em4c9EnEqQVfJGwwJNeQpPcYmiludDfWFtY9EZUAmSU')
//
// the HMAC-SHA256, in base64url, of its text under the backend's option key_secret. Without that option it is the
// SHA-256, which gives away whether two are the same, and what can be guessed: on a backend outside of the process one warning for each
// function says so. Args and Repr know no backend, and render the SHA-256.
//
// Package fmt, log/slog, and encoders of JSON, XML and YAML show Secret(...) in its place. They don't where they call no methods: as
// the key of a map in JSON, and for package fmt, and with it slog, in an unexported field of a struct, it is shown.
// string(s) is its text. Results may have it as a part: they are stored as they are, with its text. A type that is made of
// it, as in type Password cachekey.Secret, is not a Secret. The zero Secret is an empty text, and hidden likewise.
// One of more than 16 MiB can't be in a key, as a text of that length can't, and those in one argument can't have more together.
type Secret string

const hiddenSecret = "Secret(...)"

// String returns Secret(...).
func (Secret) String() string { return hiddenSecret }

// GoString returns Secret(...).
func (Secret) GoString() string { return hiddenSecret }

// Format writes Secret(...), whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hiddenSecret) }

// LogValue returns Secret(...).
func (Secret) LogValue() slog.Value { return slog.StringValue(hiddenSecret) }

// MarshalText returns Secret(...). There is no UnmarshalText.
func (Secret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }

// MarshalJSON returns "Secret(...)".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hiddenSecret + `"`), nil }
