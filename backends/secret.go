package backends

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/sealed"
	"github.com/cacheutils/cacheutils/internal/store"
)

// What is stored outside of this process is sealed with the option secret, see package sealed: by the first of several, and
// all of them open it, so that one can take another's place in a running fleet. No error shows one.

const (
	leastSecret = 16 // bytes; a random key of that length can't be guessed
	mostSecrets = 8
	makeSecret  = "make one by openssl rand -base64 32"
)

// sealing is what the options about secrets say.
type sealing struct {
	on         bool
	secrets    sealed.Secrets
	openGroups bool
	keySecret  []byte // nil: there is none
}

// readSealing reads the options about secrets.
func readSealing(r *engine.OptionReader) (s sealing, err error) {
	s.openGroups = r.Bool("open_groups", false)
	list, wrongList := readSecrets(r, "secret")
	forKeys, wrongKey := readSecrets(r, "key_secret")
	switch {
	case wrongList != nil || wrongKey != nil:
		return s, errors.Join(wrongList, wrongKey)
	case len(forKeys) > 1:
		return s, fmt.Errorf("%w: option key_secret is a list of %d; it has to be one: with another, keys are others", cacheutils.ErrConfig, len(forKeys))
	case len(forKeys) == 0 && len(list) > 1:
		return s, fmt.Errorf("%w: option secret is a list of %d, and there is no key_secret: set it to the secret that was the only one until now, "+
			"since keys made with another would be others, and an invalidation would not reach all processes", cacheutils.ErrConfig, len(list))
	case len(forKeys) == 0:
		forKeys = list
	}
	if s.on = len(list) > 0; s.on {
		s.secrets, err = sealed.NewSecrets(list)
	}
	if err == nil && len(forKeys) > 0 {
		s.keySecret, err = sealed.KeySecret(forKeys[0])
	}
	if err != nil {
		return s, fmt.Errorf("%w: options secret and key_secret: this program may not use them: %w", cacheutils.ErrConfig, err)
	}
	return s, nil
}

// readSecrets returns the secrets of the option name, or of the environment variable that name_env names.
func readSecrets(r *engine.OptionReader, name string) (list [][]byte, err error) {
	value, given := r.Value(name)
	if r.Given(name + "_env") {
		text := r.Secret(name)
		if text == "" {
			return nil, nil // it has noted what is wrong
		}
		value, given = strings.Split(text, ","), true
	}
	if given {
		list, err = listSecrets(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: option %s %w", cacheutils.ErrConfig, name, err)
	}
	return list, nil
}

// listSecrets returns the secrets that an option has, or an error that says what is wrong with them.
func listSecrets(value any) (list [][]byte, err error) {
	var texts []any
	switch v := value.(type) {
	case string, []byte:
		texts = []any{v}
	case []any:
		texts = v
	case []string:
		for _, text := range v {
			texts = append(texts, text)
		}
	case [][]byte:
		for _, text := range v {
			texts = append(texts, text)
		}
	default:
		return nil, fmt.Errorf("is something else; it has to be text, or a list of texts: %s", makeSecret)
	}
	if len(texts) == 0 || len(texts) > mostSecrets {
		return nil, fmt.Errorf("is a list of %d; it has to be of 1 to %d, the first of which seals", len(texts), mostSecrets)
	}
	for i, text := range texts {
		secret, wrong := checkSecret(text)
		for j, other := range list {
			if wrong == "" && bytes.Equal(secret, other) {
				wrong = fmt.Sprintf("is the same as %d: leave one out", j+1)
			}
		}
		if wrong != "" {
			return nil, fmt.Errorf("%d of %d %s", i+1, len(texts), wrong)
		}
		list = append(list, secret)
	}
	return list, nil
}

// checkSecret returns a copy of a secret's bytes, and what is wrong with them.
func checkSecret(text any) (secret []byte, wrong string) {
	switch v := text.(type) {
	case string:
		if strings.TrimSpace(v) != v {
			return nil, "begins or ends with a space or a line break: take that out"
		}
		secret = []byte(v)
	case []byte:
		secret = bytes.Clone(v)
	default:
		return nil, "is something else; it has to be text: " + makeSecret
	}
	if len(secret) < leastSecret {
		return nil, fmt.Sprintf("has %d bytes; it has to be of %d at least: %s", len(secret), leastSecret, makeSecret)
	}
	if bytes.Count(secret, secret[:1]) == len(secret) {
		return nil, "is one byte again and again; it has to be random: " + makeSecret
	}
	return secret, ""
}

// around returns the engine that seals what e stores. What stays in this process, and what is not stored, is not sealed.
func (s sealing) around(e engine.Engine, groupVersion string) engine.Engine {
	if traits := e.Traits(); !s.on || traits.HoldsLive || traits.Discards {
		return e
	}
	open := ""
	if s.openGroups {
		open = store.GroupPrefix(groupVersion)
	}
	return sealed.New(e, s.secrets, open)
}
