package errtext

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// IsSecret reports whether an option of that name has a value that nobody is to read in a log.
func IsSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "secret", "token", "credential", "auth"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}

// Options returns the names of options, with the values of those whose name is among shown, but for secrets. What the others are is
// not known here: one of a name that is misspelt may be a password.
func Options(options map[string]any, shown []string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := "..."
		if slices.Contains(shown, strings.ToLower(name)) && !IsSecret(name) {
			value = Quote(fmt.Sprint(options[name]))
		}
		texts = append(texts, Visible(name)+": "+value)
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// Locations returns a list of addresses without users and passwords.
func Locations(list []string) string {
	texts := make([]string, len(list))
	for i, location := range list {
		texts[i] = fmt.Sprintf("%q", WithoutPassword(location))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
