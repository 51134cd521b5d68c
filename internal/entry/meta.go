package entry

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/random"
)

// Meta is what an entry carries besides its value. Times are in Unix milliseconds.
type Meta struct {
	Check      Check
	StoredAt   int64        // when the value was; 0: that isn't known
	FreshUntil int64        // after that the value is stale; 0: never
	ExpiresAt  int64        // when the value ends, if the engine has not dropped it before; 0: never, or as the engine knows
	Groups     []Generation // the entry counts while the groups still have these
	Holder     Token        // who recomputes the value; zero: nobody
	HeldUntil  int64        // when others stop counting on the holder of a stale value
	Failures   uint8        // computations in a row that have failed to renew a stale value
	RetryAt    int64        // when the next may try
	Empty      bool         // there is no value
	Negative   bool         // because the function has none
	Error      *Error       // what the function has returned with the value; nil: no error. Not changed
}

// A Check is part of the sha256 of a key that was shortened, zero for other keys. It goes
// into the entry: md5, whose sum makes shortened keys differ, can be made to collide.
type Check [16]byte

// CheckOf returns the check of a key that was made from text.
func CheckOf(text string) (c Check) {
	sum := sha256.Sum256([]byte(text))
	copy(c[:], sum[:])
	return c
}

// A Token is one holder's alone.
type Token [16]byte

// NewToken returns a random token, which is not zero, for the entry of that key in a backend.
func NewToken(backend, key string) (t Token) {
	binary.NativeEndian.PutUint64(t[:], random.Uint64(backend, key))
	binary.NativeEndian.PutUint64(t[8:], random.Uint64(backend, key)|1)
	return t
}

// A Generation is what a group held at some time. An empty ID says that it held none.
type Generation struct {
	Group string
	ID    string
}

// maxID is the length in bytes of the longest id. A uuid as text, which this library and Django write, has 36.
const maxID = 64

// isID reports whether text may be the id of a generation: 1 to 64 printable characters of ASCII without spaces, which are
// not a decimal number: the store can count that back to what it was.
func isID[T string | []byte](text T) bool {
	if len(text) == 0 || len(text) > maxID {
		return false
	}
	decimal := true
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
		decimal = decimal && '0' <= text[i] && text[i] <= '9'
	}
	return !decimal
}

// IDOf returns the id that a group's key holds as text, or "" if that is none, and the group has no generation.
func IDOf(text []byte) string {
	if !isID(text) {
		return ""
	}
	return string(text)
}

// AreGenerations reports whether had are the groups of those names, in that order, with those ids.
func AreGenerations(had []Generation, names []string, ids [][]byte) bool {
	if len(had) != len(names) {
		return false
	}
	for i := range had {
		if had[i].Group != names[i] || had[i].ID != string(ids[i]) {
			return false
		}
	}
	return true
}

// GenerationsOf returns the generations of the groups of those names, whose keys hold these ids. What is not one says
// that the group has none.
func GenerationsOf(names []string, ids [][]byte) []Generation {
	if len(names) == 0 {
		return nil
	}
	generations := make([]Generation, len(names))
	for i, name := range names {
		generations[i] = Generation{name, IDOf(ids[i])}
	}
	return generations
}

// onlyExpires reports whether the metadata is nothing but perhaps ExpiresAt.
func (m *Meta) onlyExpires() bool {
	return m.Check == Check{} && m.onlyChecked()
}

// onlyChecked reports whether the metadata is nothing but perhaps Check and ExpiresAt.
func (m *Meta) onlyChecked() bool {
	return m.FreshUntil == 0 && m.Groups == nil &&
		m.Holder == Token{} && m.Failures == 0 && m.RetryAt == 0 && !m.Empty && !m.Negative && m.Error == nil
}

// A State is what an entry is worth to a reader.
type State int

const (
	Missing State = iota // there is none
	Fresh                // its value counts
	Stale                // its value may be served while somebody recomputes it
	Leased               // there is no value, but somebody computes it
	Dead                 // its value doesn't count: a group has another generation, or it can't be read
)

// Ages reports whether what an entry is worth depends on the time. Otherwise it is fresh until it ends.
func (m *Meta) Ages() bool { return m.FreshUntil != 0 || m.Holder != Token{} }

// StateAt returns what an entry whose value counts is worth at that time.
func (m *Meta) StateAt(now time.Time) State {
	if !m.Ages() && m.ExpiresAt == 0 {
		return Fresh
	}
	at := now.UnixMilli()
	expired := m.ExpiresAt != 0 && at >= m.ExpiresAt
	switch {
	case expired && m.Holder != Token{}:
		return Leased // the engine keeps it for the token only
	case expired:
		return Dead // the engine's clock is not as fine, or it keeps the item for another version's value
	case m.FreshUntil != 0 && at >= m.FreshUntil:
		return Stale
	default:
		return Fresh
	}
}

// Age returns how long ago the value was stored, or 0 if that isn't known.
func (m *Meta) Age(now time.Time) time.Duration {
	if m.StoredAt == 0 {
		return 0
	}
	return max(now.Sub(time.UnixMilli(m.StoredAt)), 0)
}

// Left returns how long the engine is to keep the entry from now on, so that it ends as was stamped.
func (m *Meta) Left(now time.Time) time.Duration {
	if m.ExpiresAt == 0 {
		return cacheutils.Forever
	}
	return max(time.UnixMilli(m.ExpiresAt).Sub(now), time.Millisecond)
}

// IsRefreshed reports whether a stale value is left alone: somebody recomputes it, or has
// failed to and waits.
func (m *Meta) IsRefreshed(now time.Time) bool { return m.IsHeld(now) || now.UnixMilli() < m.RetryAt }

// IsHeld reports whether somebody recomputes a stale value.
func (m *Meta) IsHeld(now time.Time) bool {
	return m.Holder != Token{} && now.UnixMilli() < m.HeldUntil
}

// clockSlack is by how much the clocks of hosts may differ without a time that one has written being none for another.
const clockSlack = 30 * time.Second

// Distrust takes off what no process can have written and still mean: a holder whose lease is longer than lease, or has been
// over for long, and the time of a next try after the longest pause. Processes whose clocks or leases differ by more than
// the slack take each other's for none.
func (m *Meta) Distrust(now time.Time, lease time.Duration) {
	if m.HeldUntil > now.Add(lease+clockSlack).UnixMilli() || m.HeldUntil < now.Add(-clockSlack).UnixMilli() {
		m.Release()
	}
	if m.RetryAt > now.Add(mostRetry+clockSlack).UnixMilli() {
		m.RetryAt = 0
	}
}

// Hold puts a token on the entry.
func (m *Meta) Hold(t Token, until time.Time) { m.Holder, m.HeldUntil = t, until.UnixMilli() }

// Release takes the token off.
func (m *Meta) Release() { m.Holder, m.HeldUntil = Token{}, 0 }

// Fail notes that a computation has failed. The next may start after a while, which doubles with each failure.
func (m *Meta) Fail(now time.Time) {
	m.RetryAt = now.Add(retryAfter(m.Failures)).UnixMilli()
	m.Failures = min(m.Failures, math.MaxUint8-1) + 1
}

// retryAfter returns how long after a failure the next computation may start, if so many have failed before.
func retryAfter(failures uint8) time.Duration {
	return min(firstRetry<<min(failures, 10), mostRetry)
}

const firstRetry, mostRetry = time.Second, 30 * time.Second
