package store

import (
	"sync"

	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/logging"
)

// UnkeyedSecrets returns what a cachekey.Secret of the function of that name is rendered by in the keys of a backend outside of this
// process that has no KeySecret: as without any, and the first time that is logged.
func UnkeyedSecrets(name, backend string) *keyenc.Secrets {
	var once sync.Once
	return keyenc.NewSecrets(nil, func() {
		once.Do(func() {
			logging.Log(logging.LevelWarn, logging.Event{Action: logging.ActionNotice, Backend: backend, Text: name +
				" has a cachekey.Secret in its keys, which the operator of the server can guess, since there is no key for it: set the backend's option key_secret"})
		})
	})
}
