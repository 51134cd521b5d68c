package errtext

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// What several packages say about wrong arguments, in one sentence for all of them.

// NilContext says what is wrong with a context that is nil.
const NilContext = "the context is nil: pass context.Background()"

// NilOption says what is wrong with an option that is nil; i is its index.
func NilOption(i int) string { return fmt.Sprintf("option %d is nil: leave it out", i+1) }

// EmptyGroup says what is wrong where the name of a group is empty.
func EmptyGroup(where string) string {
	return where + ": the name of a group is empty: was a variable not set?"
}

// MaxGroupName is how many bytes the name of a group may have: it is in each entry of the group.
const MaxGroupName = 1024

// WrongGroups returns what is wrong with the names of groups, or "": a name, or there are more than most.
func WrongGroups(where string, names []string, most int) string {
	if wrong := WrongGroupNames(where, names); wrong != "" {
		return wrong
	}
	return ManyGroups(where, names, most)
}

// WrongGroupNames returns what is wrong with the names of groups, or "": one is empty or too long.
func WrongGroupNames(where string, names []string) string {
	for _, name := range names {
		switch {
		case name == "":
			return EmptyGroup(where)
		case len(name) > MaxGroupName:
			return fmt.Sprintf("%s: the name of a group has %d bytes, and %d at most: name it by an id or a hash", where, len(name), MaxGroupName)
		}
	}
	return ""
}

// ManyGroups returns what is wrong with the names of groups, or "": there are more than most.
func ManyGroups(where string, names []string, most int) string {
	if len(names) <= most {
		return ""
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(names)))); n > most {
		return fmt.Sprintf("%s: %d groups, and there may be %d: use fewer, such as one for what is invalidated together", where, n, most)
	}
	return ""
}

// MissingUnit returns what is wrong with a duration that a user has given to the option of that name, or "". One
// above zero and below a millisecond is a number without a unit.
func MissingUnit(option string, d time.Duration) string {
	if d <= 0 || d >= time.Millisecond {
		return ""
	}
	return fmt.Sprintf("%s(%v) is less than a millisecond, since a number without a unit counts nanoseconds: "+
		"did you mean %s(%d*time.Second)?", option, d, option, int64(d))
}

// Given describes a value that was given in place of one of another type: nil, a nil func(), or a value of type int.
func Given(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Invalid:
		return "nil"
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		if v.IsNil() {
			return "a nil " + v.Type().String()
		}
	}
	return "a value of type " + v.Type().String()
}
