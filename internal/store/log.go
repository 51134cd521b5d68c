package store

import (
	"strings"
	"time"

	"github.com/cacheutils/cacheutils/logging"
)

// debug logs what an operation found or did. Nothing is made unless somebody reads it.
func (c *Store) debug(action logging.Action, key *Key, size int) {
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: action, Backend: c.Name, Key: strings.Clone(key.text), Size: size})
	}
}

// fault logs a fault that the caller of a decorated function doesn't see, at most one a
// second for each backend: a server that is down must not fill a disk.
func (c *Store) fault(doing string, err error) {
	if c.faults.Allow(time.Now()) {
		logging.Log(logging.LevelWarn, logging.Event{Action: logging.ActionFault, Backend: c.Name, Text: doing, Err: err})
	}
}

// taskFault counts and logs a fault that the task's caller doesn't see.
func (c *Store) taskFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing+task.name, err)
}
