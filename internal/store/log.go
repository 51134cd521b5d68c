package store

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/cacheutils/cacheutils/logging"
)

// debug logs what an operation found or did. Nothing is made unless somebody reads it.
func (c *Store) debug(action logging.Action, key *Key, size int) {
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: action, Backend: c.Name, Key: strings.Clone(key.text), Size: size})
	}
}

// LogRequired logs that what is cached under keys is required.
func (c *Store) LogRequired(keys ...Key) {
	for i := range keys {
		c.debug(logging.ActionRequire, &keys[i], 0)
	}
}

// notFound logs that there was nothing required under key.
func (c *Store) notFound(key *Key) {
	if logging.Enabled(logging.LevelInfo) {
		logging.Log(logging.LevelInfo, logging.Event{Action: logging.ActionNotFound, Backend: c.Name, Key: strings.Clone(key.text)})
	}
}

// fault logs a fault that the caller of a decorated function doesn't see, met when doing something to what:
// a line a second of each doing.
func (c *Store) fault(doing, what string, err error) {
	c.lines.Log(logging.LevelWarn, doing, logging.Event{Action: logging.ActionFault, Backend: c.Name, Text: doing + what, Err: err})
}

// taskFault counts and logs a fault of the engine that the task's caller doesn't see. Its cause is what
// was being done: a server that is down fails for all tasks.
func (c *Store) taskFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing, task.name, err)
}

// refusal counts and logs that a result of the task can't be stored, whatever the server does.
func (c *Store) refusal(task *Task, doing string, err error) {
	task.Stats.Unstorable.Add(1)
	c.fault(doing+task.name, "", err)
}

// valueFault is taskFault for a fault of the task's own values, so that each task has a line.
func (c *Store) valueFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing+task.name, "", err)
}

// unsized logs that values of the task have a part of that type whose memory nobody can count: once for each task, and once
// a second for those of one name. part is nil if there is none.
func (c *Store) unsized(task *Task, part reflect.Type) {
	if part != nil && !task.isUnsized.Swap(true) {
		c.lines.Log(logging.LevelWarn, "unsized "+task.name, logging.Event{Action: logging.ActionNotice, Backend: c.Name, Text: fmt.Sprintf(
			"results of %s have parts of type %v, whose memory can't be counted, so that max_cost does not bound it: "+
				"set max_entries to as many as may be held", task.name, part)})
	}
}
