package decorators

import (
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// An Explanation is what Explain says of what is cached for some arguments.
type Explanation struct {
	Key   string        // without the backend's prefix and version, as CacheKey returns it
	State State         // what a call would find
	Age   time.Duration // since it was stored; 0: that isn't known, as of results that never end and are in this process's memory
	Left  time.Duration // until it is past its timeout; cacheutils.Forever: it has none
	Kept  time.Duration // until it is not even served past its timeout, see Stale: no less than Left
	Size  int           // in bytes, as the backend has it, the key not included

	// Groups are those that it is in, and those that it would have to be in. One that doesn't hold has been invalidated since
	// it was stored.
	Groups []GroupState

	Computing Computer // who computes it now
	Err       error    // if State is Unreadable: why it can't be read, which matches cacheutils.ErrUndecodable; if it is Failed: the error
}

// A State is what a call would find.
type State int

const (
	Nothing      State = iota // nothing, or what is past its time: it would compute
	Fresh                     // results, which it would return
	PastTimeout               // results past their timeout, see Stale: it would return them, and have them recomputed unless somebody does
	NoResult                  // that the function has nothing for the key, see Absent
	UnderWay                  // nothing but that somebody computes them: it would wait
	Outdated                  // results that a group has invalidated: it would compute
	OtherVersion              // results of another version of the program alone, whose types differ: it would compute
	Unreadable                // what it can't read, see Explanation.Err: it would compute
	Failed                    // an error that counts as a result, see CacheErrors: it would return that
)

var stateTexts = [...]string{"nothing", "fresh", "past its timeout", "no result", "under way", "outdated", "of another version", "unreadable", "an error"}

// String returns it in words.
func (s State) String() string { return textOf(stateTexts[:], int(s)) }

// A Computer is who computes results.
type Computer int

const (
	Nobody      Computer = iota
	ThisProcess          // a call in this process, or a refresh in its background
	Another              // another process or, on one server, another backend of this one
)

var computerTexts = [...]string{"nobody", "this process", "another process"}

// String returns it in words.
func (c Computer) String() string { return textOf(computerTexts[:], int(c)) }

func textOf(texts []string, i int) string {
	if i < 0 || i >= len(texts) {
		return fmt.Sprint(i)
	}
	return texts[i]
}

// A GroupState is whether what is cached still counts for a group.
type GroupState struct {
	Name  string
	Holds bool // it is in the group, which was not invalidated since
}

// String returns the explanation on one line, with the key, which has the arguments.
func (e Explanation) String() string {
	text := fmt.Sprintf("%s: %s", e.Key, e.State)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", errtext.Bare(e.Err))
	}
	if e.Age > 0 {
		text += fmt.Sprintf(", %v old", e.Age.Round(time.Millisecond))
	}
	if e.State == Fresh || e.State == NoResult || e.State == Failed {
		text += ", for " + left(e.Left)
	}
	if e.Kept > e.Left || e.State == PastTimeout {
		text += ", kept for " + left(e.Kept)
	}
	if e.Size > 0 {
		text += fmt.Sprintf(", %d bytes", e.Size)
	}
	for i, g := range e.Groups {
		if text += ", "; i == 0 {
			text += "in "
		}
		if text += g.Name; !g.Holds {
			text += " (invalidated)"
		}
	}
	if e.Computing != Nobody {
		text += fmt.Sprintf(", computed by %s", e.Computing)
	}
	return text
}

func left(d time.Duration) string {
	if d == cacheutils.Forever {
		return "forever"
	}
	return d.Round(time.Millisecond).String()
}

// explain is Handle.Explain.
func (p *plan) explain(a *arguments) (x Explanation, err error) {
	err = p.explicitly(a, func(cache *store.Store, text string) error {
		key, err := p.entry(cache, text, a)
		if err != nil {
			return err
		}
		found, err := cache.Explain(a.context(), key, p.task)
		if err != nil {
			return errtext.Wrap(err, "explain %s", p.name)
		}
		x = Explanation{
			Key: key.Text(), State: State(found.State), Age: found.Age, Left: found.Left, Kept: found.Kept, Size: found.Size,
			Computing: Computer(found.Holder), Err: found.Err,
		}
		for _, g := range found.Groups {
			x.Groups = append(x.Groups, GroupState(g))
		}
		return nil
	})
	return x, err
}
