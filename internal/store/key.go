package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/logging"
)

// maxKey is the length in bytes of the longest key that memcached takes. It holds for all
// engines, so that a key is the same wherever it is stored.
const maxKey = 250

// maxHead leaves room after prefix and version for a readable head and a hash.
const maxPrefix = 150

// usualKey is how many bytes most keys have at most.
const usualKey = 64

// leastKey is the length of a key that is nothing but a hash.
const leastKey = 32

// groupMark stands before a group's name in its key. No key of an entry has it at that place,
// since no KeyPrefix may have it.
const groupMark = "_group::"

// GroupPrefix returns what the keys of a version's groups begin with.
func GroupPrefix(version string) string { return version + groupMark }

// functionMark stands before the name of a function in the keys of what is cached for it. No other key has it there, whatever
// the KeyPrefix and the Version that stand before: see OwnKey.
const functionMark = errtext.FunctionMark

// A Key addresses an entry of the Store that made it.
type Key struct {
	text   string // before prefix and version
	stored string // as the engine knows it
	groups []string
	in     *Groups // the same groups, where somebody has them already
	check  entry.Check
	quoted bool // the caller gave the text, and may read it in errors
}

// MaxGroups is in how many groups an entry can be.
const MaxGroups = entry.MaxGroups

// withGroups returns the key for an entry in the groups, too.
func (k Key) withGroups(groups []string) Key {
	if len(groups) > 0 {
		k.groups, k.in = unique(append(slices.Clip(k.groups), groups...)), nil
	}
	return k
}

// groupKeys returns the keys of the key's groups.
func (c *Store) groupKeys(key *Key) []string {
	if key.in != nil || len(key.groups) == 0 {
		return key.in.keysOrNone()
	}
	return c.Groups(key.groups...).keys
}

// Groups are the groups that entries of one Store are in. Make them once for many keys.
type Groups struct{ names, keys []string }

// Groups returns the groups of those names.
func (c *Store) Groups(names ...string) *Groups {
	names = unique(names)
	texts := make([]string, 2*len(names))
	g := &Groups{names: texts[:len(names)], keys: texts[len(names):]}
	for i, name := range names {
		g.names[i], g.keys[i] = c.ownGroup(name)
	}
	return g
}

func (g *Groups) len() int {
	if g == nil {
		return 0
	}
	return len(g.names)
}

func (g *Groups) keysOrNone() []string {
	if g == nil {
		return nil
	}
	return g.keys
}

// groupKey returns the key that holds the group's generation.
func (c *Store) groupKey(group string) string {
	head := GroupPrefix(c.GroupVersion)
	if c.GroupPrefix != "" {
		head += c.GroupPrefix + ":"
	}
	return cachekey.Sanitize(head+group, maxKey)
}

// ownGroup returns the group's name and key. Entries may keep the name: its memory is that of the key, and nothing of
// what it was cut from.
func (c *Store) ownGroup(group string) (name, key string) {
	key = c.groupKey(group)
	if strings.HasSuffix(key, group) {
		return key[len(key)-len(group):], key
	}
	return strings.Clone(group), key
}

// unique returns names sorted, each once.
func unique(names []string) []string {
	if len(names) < 2 {
		return names
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// AppendPrefix appends what stands before the text of every key, for KeyOf and Lookup.
func (c *Store) AppendPrefix(b []byte) []byte { return append(b, c.prefix...) }

// KeyOf is Key for a text that was appended to AppendHead: a name and arguments as package cachekey
// renders them, which have no characters that memcached refuses and don't end like a shortened
// key. groups may be nil.
func (c *Store) KeyOf(text string, groups *Groups) Key {
	k := Key{text: text[len(c.prefix):], stored: text}
	if !c.isStorable(text) {
		k = c.Key(strings.Clone(k.text))
	}
	k.check = cmp.Or(k.check, hashedCheck(k.text))
	if groups != nil {
		k.groups, k.in = groups.names, groups
	}
	return k
}

// isHashed reports whether text, of a key that KeyOf makes, is nothing but the sha256 that Hashed makes of it.
func isHashed(text string) bool { return len(text) == 2*sha256.Size && text[0] != functionMark[0] }

// hashedCheck returns the check of a key that isHashed, otherwise a zero one. Anybody may choose such a text as a key of a
// low-level operation, which has no check.
func hashedCheck(text string) (c entry.Check) {
	if isHashed(text) {
		_, _ = hex.Decode(c[:], []byte(text[:2*len(c)]))
	}
	return c
}

// borrowedKey is KeyOf for a text that others change later: the key, too, may be used only until
// then.
func (c *Store) borrowedKey(text []byte, groups *Groups) Key { return c.KeyOf(borrowed(text), groups) }

// borrowed returns text as a string that shares its memory.
func borrowed(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// isStorable reports whether text is a key as it is stored.
func (c *Store) isStorable(text string) bool { return len(text) <= maxKey && c.KeyFunction == nil }

// clone returns the key with memory of its own.
func (k Key) clone() Key {
	head, shares := strings.CutSuffix(k.stored, k.text)
	k.stored = strings.Clone(k.stored)
	if shares {
		k.text = k.stored[len(head):]
	} else {
		k.text = strings.Clone(k.text)
	}
	return k
}

// isSame reports whether the keys are those of one entry. Two that were shortened to one text are not: see entry.Check.
func (k *Key) isSame(other *Key) bool { return k.stored == other.stored && k.check == other.check }

// Text returns the key without the backend's prefix and version.
func (k Key) Text() string { return k.text }

// String returns what stands for the key in errors and warnings: the function whose key it is, and a digest, or a quotation of
// what the caller gave as text. A key is nowhere else to be shown, but for levels below a warning: its arguments may be secret.
func (k Key) String() string {
	name, isFunction := strings.CutPrefix(k.text, functionMark)
	switch {
	case isFunction:
		name, _, _ = strings.Cut(name, "(")
		if open := strings.LastIndexByte(name, '['); open > strings.LastIndexByte(name, ']') {
			name = name[:open] // of type arguments, or an instance, that have a ( of their own
		}
		return "key " + k.digest() + " of " + errtext.Visible(name)
	case k.quoted:
		return errtext.Quote(k.text)
	default:
		return "key " + k.digest()
	}
}

// digest returns what stands for the key where the function is known.
func (k Key) digest() string { return cachekey.Digest(k.text) }

// leastText is how long the text of a key is at least that is looked for in the error of an engine.
const leastText = 8

// withoutKeys returns err, which an engine has returned, without the texts of keys that it was given.
func withoutKeys(err error, stored ...string) error {
	if err == nil || err == cacheutils.ErrCacheMiss {
		return err
	}
	stored = slices.DeleteFunc(slices.Clone(stored), func(key string) bool { return len(key) < leastText })
	return errtext.Without(err, "(the key)", stored...)
}

// Key returns the key for any text: one that is too long, or that has characters which
// memcached refuses, is shortened as cachekey.Sanitize does, so that with prefix and version
// it has at most 250 bytes. An entry under it is in the groups.
func (c *Store) Key(text string, groups ...string) Key {
	short := cachekey.Sanitize(text, maxKey-len(c.prefix))
	k := Key{text: short, stored: c.compose(short, c.Version)}
	if over := len(k.stored) - maxKey; over > 0 { // what the key function adds
		short = cachekey.Sanitize(text, max(len(short)-over, leastKey))
		k = Key{text: short, stored: c.compose(short, c.Version)}
	}
	if short != text {
		k.check = entry.CheckOf(text)
	}
	return k.withGroups(groups)
}

// KeyFor is Key for the text of a value, see cachekey.Repr.
func (c *Store) KeyFor(value any, groups ...string) (Key, error) {
	text, err := make([]byte, 0, usualKey), error(nil)
	if tuple, ok := value.(cachekey.Tuple); ok && tuple != nil {
		text, err = keyenc.AppendTupleWith(text, tuple, c.unkeyed) // the usual key of package cache, without looking up its type
	} else {
		text, err = keyenc.AppendWith(text, len(text), value, c.unkeyed)
	}
	if err != nil {
		return Key{}, keyenc.Discreet(err)
	}
	return c.Key(string(text), groups...), nil
}

// PlainKey returns the key for text as it is, in that version, or an error if the engine can't take it. Where
// it can, but memcached could not, that is logged, as Django warns.
func (c *Store) PlainKey(text, version string, groups []string) (Key, error) {
	if text == "" {
		return Key{}, fmt.Errorf("%w: it is empty", cacheutils.ErrInvalidKey)
	}
	k := Key{text: text, stored: c.compose(text, version), groups: unique(groups), quoted: true}
	if c.meansGroup(k.stored, text) {
		return Key{}, fmt.Errorf("%w: %s with version %s may be the key of a group: choose another key, or version",
			cacheutils.ErrInvalidKey, k, errtext.Quote(version))
	}
	if c.checkKey != nil {
		if err := c.checkKey(k.stored); err != nil {
			return Key{}, errtext.Wrap(withoutKeys(err, k.stored), "%s", k)
		}
		return k, nil
	}
	if why := notPortable(k.stored); why != "" {
		c.notice("not portable", fmt.Sprintf("key %s %s: memcached would refuse it", cachekey.Digest(text), why))
	}
	return k, nil
}

// meansGroup reports whether the key that is stored for text may be that of a group: what stands before text makes it one.
// A key function may put nothing there.
func (c *Store) meansGroup(stored, text string) bool {
	if c.KeyFunction == nil {
		stored = stored[:min(len(stored), len(stored)-len(text)+len(groupMark)-1)]
	}
	return strings.Contains(stored, groupMark)
}

// OwnKey is PlainKey for an operation that stores. Keys of what is cached for a function are refused, also those of a backend
// with another prefix: a Version or a text with colons may be a part of that.
func (c *Store) OwnKey(text, version string, groups []string) (Key, error) {
	k, err := c.PlainKey(text, version, groups)
	if err != nil {
		return Key{}, err
	}
	before := ":" // the mark, in what is stored
	if c.KeyFunction != nil {
		before = ""
	}
	if strings.HasPrefix(text, functionMark) || strings.Contains(k.stored, before+functionMark) {
		return Key{}, fmt.Errorf("%w: %s stands where the keys of what is cached for functions begin, which only the function's handle stores: "+
			"use that (Set, ForceRecalc, Invalidate), or package cache, which takes any key", cacheutils.ErrInvalidKey, functionMark)
	}
	return k, nil
}

// notice logs what is to be known, a line a second of that cause.
func (c *Store) notice(cause, text string) {
	c.lines.Log(logging.LevelWarn, cause, logging.Event{Action: logging.ActionNotice, Backend: c.Name, Text: text})
}

func (c *Store) compose(key, version string) string {
	if c.KeyFunction != nil {
		return strings.Clone(c.KeyFunction(key, c.KeyPrefix, version)) // which may be a part of something large
	}
	if version == c.Version {
		return c.prefix + key
	}
	return composePrefix(c.KeyPrefix, version) + key
}

func notPortable(key string) string {
	if len(key) > maxKey {
		return fmt.Sprintf("has %d bytes, more than %d", len(key), maxKey)
	}
	if i := strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return fmt.Sprintf("has the character %q", key[i])
	}
	return ""
}

// CheckKeyFunction returns an error that matches cacheutils.ErrConfig if f, which may be nil, makes keys that can't be
// stored, or not one for each. It calls f with a few.
func CheckKeyFunction(f func(key, prefix, version string) string, prefix, version string) (err error) {
	if f == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: KeyFunction panics: %v", cacheutils.ErrConfig, v)
		}
	}()
	long := strings.Repeat("k", 100)
	keys := []string{"k", "K", "k1", "k,1", "[cached]f(('a',))", "[cached]f(('b',))", long[:leastKey], long + "1", long + "2", "1" + long, "2" + long}
	from := map[string]string{}
	for _, key := range keys {
		stored := f(key, prefix, version)
		switch other, twice := from[stored]; {
		case twice:
			return fmt.Errorf("%w: KeyFunction makes %q of %q and of %q: they would share an entry; return one key for each",
				cacheutils.ErrConfig, stored, other, key)
		case stored != f(key, prefix, version):
			return fmt.Errorf("%w: KeyFunction makes another key of %q each time: return the same", cacheutils.ErrConfig, key)
		case stored == "":
			return fmt.Errorf("%w: KeyFunction makes nothing of %q: return a key", cacheutils.ErrConfig, key)
		case strings.Contains(stored, groupMark):
			return fmt.Errorf("%w: KeyFunction makes %q of %q, which has %q, as the keys of groups: leave that out",
				cacheutils.ErrConfig, stored, key, groupMark)
		}
		if why := notPortable(stored); why != "" && len(key) <= leastKey { // longer ones are shortened
			return fmt.Errorf("%w: KeyFunction makes a key of %q that %s: memcached would refuse it, so no engine gets it", cacheutils.ErrConfig, key, why)
		}
		from[stored] = key
	}
	return nil
}

// CheckPrefix returns an error that matches cacheutils.ErrConfig if keys can't begin with prefix and version.
func CheckPrefix(prefix, version string) error {
	h := composePrefix(prefix, version)
	if why := notPortable(h); why != "" {
		return fmt.Errorf("%w: KeyPrefix %q with Version %q %s: keys have at most %d bytes, and no spaces or control characters",
			cacheutils.ErrConfig, prefix, version, why, maxKey)
	}
	if strings.Contains(h+":", groupMark) { // a key may begin with the colon
		return fmt.Errorf("%w: KeyPrefix %q with Version %q makes keys that may be those of groups, which have %q: choose another", cacheutils.ErrConfig, prefix, version, groupMark)
	}
	if strings.Contains(h, functionMark) {
		return fmt.Errorf("%w: KeyPrefix %q with Version %q has %q, which the keys of functions begin with: choose another", cacheutils.ErrConfig, prefix, version, functionMark)
	}
	if len(h) > maxPrefix {
		return fmt.Errorf("%w: KeyPrefix %q with Version %q has %d bytes, which leaves no room for keys: use at most %d",
			cacheutils.ErrConfig, prefix, version, len(h), maxPrefix)
	}
	return nil
}

// maxGroupPrefix is the length in bytes of the longest group prefix.
const maxGroupPrefix = 64

// CheckGroupPrefix returns an error that matches cacheutils.ErrConfig if prefix can't stand before the names of groups.
func CheckGroupPrefix(prefix string) error {
	wrong := strings.IndexFunc(prefix, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
	if wrong < 0 && len(prefix) <= maxGroupPrefix {
		return nil
	}
	return fmt.Errorf("%w: the option group_prefix is %q: it has at most %d printable characters of ASCII, and no spaces or colons",
		cacheutils.ErrConfig, prefix, maxGroupPrefix)
}
