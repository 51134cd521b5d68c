package store

import "time"

// DefaultTimeout stands for the store's own timeout. No computation ends at it by chance: the time until time.Time{},
// say, is -1<<63.
const DefaultTimeout time.Duration = -1 << 62

// DefaultStale stands for the backend's own time that values may be served past their timeout.
const DefaultStale = DefaultTimeout

// DefaultLinger stands for the time that a computation goes on without anything else being said.
const DefaultLinger = DefaultTimeout
