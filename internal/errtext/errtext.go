// Package errtext adds context to errors in such a way that their texts have one prefix, that of the module, and has what
// several packages say about wrong arguments.
package errtext

import (
	"fmt"
	"strings"
)

// prefix is what the texts of errors begin with, those of the error values in the root package too.
const prefix = "cacheutils: "

// Wrap returns an error that wraps err, with the prefix, the context, and the text of err without the prefix:
//
//	cacheutils: backend "default": bad configuration: ...
func Wrap(err error, format string, args ...any) error {
	return fmt.Errorf(prefix+"%s: %w", fmt.Sprintf(format, args...), Bare(err))
}

// Bare returns an error that wraps err and whose text is that of err without the prefix, for a text that has one
// already. A nil stays nil.
func Bare(err error) error {
	if err == nil {
		return nil
	}
	return bare{err}
}

// WithoutUser returns text without what stands before its last @: a user and a password don't belong in errors.
func WithoutUser(text string) string {
	if at := max(strings.LastIndex(text, "@"), strings.LastIndex(text, "%40")); at >= 0 {
		return "..." + text[at:]
	}
	return text
}

// WithoutPassword is WithoutUser for what may be the address of a server or a URL, whose query is left out, too.
func WithoutPassword(text string) string {
	text = WithoutUser(text)
	if i := strings.IndexAny(text, "?&=#"); i >= 0 && i+1 < len(text) {
		text = text[:i+1] + "..."
	}
	return text
}

type bare struct{ err error }

func (b bare) Error() string { return textOf(b.err) }

func (b bare) Unwrap() error { return b.err }

// textOf returns the text of err without the prefix, nor those of the errors that it wraps. A key in it may have the
// same text, which stays.
func textOf(err error) string {
	text := err.Error()
	if _, ok := err.(bare); ok {
		return text
	}
	var list []error
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		list = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		list = e.Unwrap()
	}
	var before strings.Builder // of text, without the prefixes
	for _, wrapped := range list {
		if wrapped == nil {
			continue
		}
		full := wrapped.Error()
		at := strings.Index(text, full)
		if at < 0 {
			continue
		}
		before.WriteString(withoutPrefix(text[:at], before.Len() == 0))
		before.WriteString(textOf(wrapped))
		text = text[at+len(full):]
	}
	return before.String() + withoutPrefix(text, before.Len() == 0)
}

// withoutPrefix returns text without the prefix if it is the beginning of an error's.
func withoutPrefix(text string, begins bool) string {
	if begins {
		return strings.TrimPrefix(text, prefix)
	}
	return text
}
