package registered

import (
	"fmt"
	"sync"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/typeid"
	"github.com/cacheutils/cacheutils/logging"
)

// Names are those of the functions whose results are under one prefix in one store, be it by one backend or by
// several. Functions of one name share their entries there:
//
//   - A name that stands for one func value, see Function.Sole, is that of the value that was added first. Another value
//     is refused until the last set of backends with that store is closed. The value is retained so
//     long: its address is never that of another one, whatever the garbage collector does.
//   - Functions to which the user has given one name in one set share their entries, as the user may want. That is
//     logged, once for each name, unless one is the other's twin for many keys. It is refused where their results
//     differ in type. What is retained of such a function is dropped with it. Those of other sets are as those of other
//     programs.
type Names struct {
	domain string // under which they are shared; empty: they aren't
	opened int    // how often, guarded by domains

	mu     sync.Mutex
	users  map[owner]*user
	warned map[owner]struct{}
	asked  bool // for a Key
}

// An owner is a name, and the set in which the user has given it to functions.
type owner struct {
	name string
	set  any
}

func (f *Function) owner() owner {
	o := owner{name: typeid.WithoutNumbers(f.Name)}
	if !f.Sole {
		o.set = f.Set
	}
	return o
}

// A user is the first function of a name.
type user struct {
	Function
	added int // how often functions of its name were added that are dropped, less how many were
}

// maxWarned bounds of how many names is retained that they were logged. Of others nothing is logged.
const maxWarned = 1000

var domains = struct {
	sync.Mutex
	names map[string]*Names
}{names: make(map[string]*Names)}

// OpenNames returns the names of a domain: what identifies a store, and a prefix in it. They are there while they
// are open, as often as they were opened. An empty domain is shared with nobody.
func OpenNames(domain string) *Names {
	domains.Lock()
	defer domains.Unlock()
	n := domains.names[domain]
	if n == nil || domain == "" {
		n = &Names{domain: domain, users: make(map[owner]*user), warned: make(map[owner]struct{})}
	}
	if domain != "" {
		domains.names[domain] = n
	}
	n.opened++
	return n
}

// Close undoes an OpenNames. The last one forgets all names.
func (n *Names) Close() {
	domains.Lock()
	defer domains.Unlock()
	if n.opened--; n.opened > 0 {
		return
	}
	if n.domain != "" {
		delete(domains.names, n.domain)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.users)
	clear(n.warned)
}

// Add adds f, and returns what undoes that, or nil if f's value, or that of the first of its name, is retained. An error
// says that another function has the name, and that f may not have its entries; it matches cacheutils.ErrInvalidKey.
func (n *Names) Add(f *Function) (remove func(), err error) {
	owner := f.owner()
	n.mu.Lock()
	defer n.mu.Unlock()
	first, ok := n.users[owner]
	if !ok {
		first = &user{Function: *f}
		if !f.Sole {
			first.Value = nil
		}
		n.users[owner] = first
	} else if err := n.compare(&first.Function, f); err != nil {
		return nil, err
	}
	if first.Sole {
		return nil, nil
	}
	first.added++
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if first.added--; first.added == 0 && n.users[owner] == first {
			delete(n.users, owner)
		}
	}, nil
}

// compare returns an error if second may not have the entries of first, which has the same name.
func (n *Names) compare(first, second *Function) error {
	switch {
	case first.Address == second.Address && first.Type == second.Type:
		return nil // one function
	case first.Sole && second.Sole:
		return fmt.Errorf("%w: %s is decorated %s as two func values, which would share their results: "+
			"say what distinguishes them with decorators.Instance (a shard, a tenant), or name each with decorators.Key", cacheutils.ErrInvalidKey, second.What, places(first, second))
	case !first.Named && !second.Named:
		return nil // a method, by value and by pointer
	case first.Type != second.Type:
		return fmt.Errorf("%w: two functions are called %s, and can't share results of the types %s and %s: they are decorated %s; %s",
			cacheutils.ErrInvalidKey, second.Name, first.Results, second.Results, places(first, second), remedy(first, second))
	case first.Many != second.Many && first.Shared == second.Shared:
		return nil
	}
	n.warn(first, second)
	return nil
}

func (n *Names) warn(first, second *Function) {
	owner := second.owner()
	if _, again := n.warned[owner]; again || len(n.warned) >= maxWarned {
		return
	}
	n.warned[owner] = struct{}{}
	logging.Log(logging.LevelWarn, logging.Event{
		Action:  logging.ActionNotice,
		Backend: second.Backend,
		Text: fmt.Sprintf("cacheutils: two functions are cached under the name %s and share their entries: they are decorated %s; "+
			"unless that is meant, %s", second.Name, places(first, second), remedy(first, second)),
	})
}

// AskForKey logs that f, whose package has the same path in other programs, may share its entries with theirs. That is
// logged once, for all functions.
func (n *Names) AskForKey(f *Function) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked {
		return
	}
	n.asked = true
	logging.Log(logging.LevelWarn, logging.Event{
		Action:  logging.ActionNotice,
		Backend: f.Backend,
		Text: fmt.Sprintf("cacheutils: %s is in a program that was built from a list of files, or without modules, so that its functions may be "+
			"called like those of another program on the same servers: name them with decorators.Key, or build the package by its path", f.Name),
	})
}

// places names each place once.
func places(first, second *Function) string {
	if first.Place == second.Place {
		return "more than once at " + first.Place
	}
	return "at " + first.Place + " and at " + second.Place
}

// remedy says how the two are distinguished: at one place there is one Key.
func remedy(first, second *Function) string {
	switch {
	case second.Instance:
		return "give one of them another Instance"
	case first.Place == second.Place:
		return "give one of them another Key, or each an Instance of its own"
	default:
		return "give one of them another Key"
	}
}
