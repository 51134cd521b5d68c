package decorators

import (
	"weak"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/registered"
)

// A Function is what All says of a decorated function.
type Function struct {
	Name    string           // in keys: the part before the arguments
	Place   string           // where it was decorated, as file:line
	Backend string           // the name of its backend
	Set     *backends.Caches // in which that is looked up unless the context of a call names another: that of On; nil: the program's
	Stats   Stats            // what has happened since it was decorated, in this process
}

// All returns the decorated functions of the program, sorted by their names, backends and places: for a page that shows
// them, or for metrics. It asks no backend. A function is among them from when it was decorated, called or not, until the garbage
// collector finds that neither it nor its handle can be used any more, whether or not its set has been closed; All doesn't
// keep it from that. Several functions of one name are listed each.
func All() []Function {
	var all []Function
	for _, f := range registered.All() {
		p := f.Plan.(weak.Pointer[plan]).Value()
		if p == nil {
			continue // it is about to be removed
		}
		all = append(all, Function{Name: f.Name, Place: f.Place, Backend: f.Backend, Set: p.backend.set, Stats: statsOf(&p.task.Stats)})
	}
	return all
}
