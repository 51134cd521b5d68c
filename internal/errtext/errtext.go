// Package errtext adds context to errors in such a way that their texts have one prefix, that of the module.
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

// WithoutPassword returns text, which may be the address of a server or a URL, without what stands before its last @: a
// user and a password don't belong in errors.
func WithoutPassword(text string) string {
	at := max(strings.LastIndex(text, "@"), strings.LastIndex(text, "%40"))
	if at < 0 {
		return text
	}
	return "..." + text[at:]
}

type bare struct{ err error }

func (b bare) Error() string { return strings.ReplaceAll(b.err.Error(), prefix, "") }

func (b bare) Unwrap() error { return b.err }
