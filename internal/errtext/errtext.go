// Package errtext keeps the texts of errors that several packages have wrapped readable: one begins with
// the name of one package.
package errtext

import (
	"slices"
	"strings"
)

// packages are those whose errors begin with their name.
var packages = []string{"backends", "cachekey", "cacheutils", "decorators", "keyenc", "store"}

// Bare returns err for an error that wraps it and begins with a package's name of its own: errors.Is and
// errors.As find what they find in err, and its text is err's without the packages' names at the beginning, for
// joined errors of each line. nil stays nil.
func Bare(err error) error {
	if err == nil {
		return nil
	}
	return bare{err}
}

type bare struct{ err error }

func (b bare) Unwrap() error { return b.err }

func (b bare) Error() string {
	lines := strings.Split(b.err.Error(), "\n")
	for i, line := range lines {
		lines[i] = withoutPackages(line)
	}
	return strings.Join(lines, "\n")
}

func withoutPackages(text string) string {
	for {
		name, rest, ok := strings.Cut(text, ": ")
		if !ok || !slices.Contains(packages, name) {
			return text
		}
		text = rest
	}
}
