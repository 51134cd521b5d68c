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
	context := fmt.Sprintf(format, args...)
	return &wrapped{prefix + context + ": " + strings.ReplaceAll(err.Error(), prefix, ""), err}
}

type wrapped struct {
	text string
	err  error
}

func (w *wrapped) Error() string { return w.text }

func (w *wrapped) Unwrap() error { return w.err }
