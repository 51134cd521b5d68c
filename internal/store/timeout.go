package store

import (
	"fmt"
	"time"
)

// DefaultTimeout stands for the store's own timeout. No computation ends at it by chance: the time until time.Time{},
// say, is -1<<63.
const DefaultTimeout time.Duration = -1 << 62

// DefaultStale stands for the backend's own time that values may be served past their timeout.
const DefaultStale = DefaultTimeout

// DefaultLinger stands for the time that a computation goes on without anything else being said.
const DefaultLinger = DefaultTimeout

// MissingUnit returns what is wrong with a duration that a user has given to the option of that name, or "". One
// above zero and below a millisecond is a number without a unit.
func MissingUnit(option string, d time.Duration) string {
	if d <= 0 || d >= time.Millisecond {
		return ""
	}
	return fmt.Sprintf("%s(%v) is less than a millisecond, since a number without a unit counts nanoseconds: "+
		"did you mean %s(%d*time.Second)?", option, d, option, int64(d))
}
