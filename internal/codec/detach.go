package codec

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A string that was cut from a page keeps the page in memory, and a time its zone, of which each LoadLocation makes
// another one. So a value that is stored as it is gets strings of its own, and one zone that all times share.

// Detach gives the value at p copies of its strings, and replaces the zones of its times by equal ones that other values
// have too. It does so in the value itself, in its fields and in the elements of arrays, not behind pointers, slices,
// maps and interfaces, which others may be reading. Nobody else may be using the value at p.
func (t *Type) Detach(p unsafe.Pointer) {
	if !t.borrows {
		return
	}
	switch t.rtype.Kind() {
	case reflect.String:
		s := (*string)(p)
		*s = strings.Clone(*s)
	case reflect.Array:
		size := t.elem.rtype.Size()
		for i := range t.rtype.Len() {
			t.elem.Detach(unsafe.Add(p, uintptr(i)*size))
		}
	case reflect.Struct:
		if t.form == asTime {
			shareZone((*time.Time)(p))
			return
		}
		for i := range t.fields {
			t.fields[i].typ.Detach(unsafe.Add(p, t.fields[i].offset))
		}
	}
}

// borrows reports whether there is something for Detach to do. What is immutable has nothing to be replaced.
func borrows(t *Type) bool {
	if t.form == asUser {
		return false
	}
	switch t.rtype.Kind() {
	case reflect.String:
		return true
	case reflect.Array:
		return t.rtype.Len() > 0 && borrows(t.elem)
	case reflect.Struct:
		if t.form == asTime {
			return true
		}
		for _, f := range t.fields {
			if borrows(f.typ) {
				return true
			}
		}
	}
	return false
}

// zones are the time zones that values share: of those with one name and offset the one that was stored first.
var zones struct {
	sync.Map // zoneKey to *time.Location
	n        atomic.Int32
}

type zoneKey struct {
	name   string
	offset int
}

const (
	maxZones    = 2048     // twice as many as the zone database has
	maxZoneSize = 64 << 10 // of those in it none has as much
)

// sharedZone returns the zone that values share which is like that of t, or nil if there is none. Nobody owns those of
// the time package.
func sharedZone(t time.Time) *time.Location {
	loc := t.Location()
	if loc == time.UTC || loc == time.Local {
		return loc
	}
	_, offset := t.Zone()
	key := zoneKey{loc.String(), offset}
	if known, ok := zones.Load(key); ok {
		return known.(*time.Location)
	}
	if zones.n.Load() >= maxZones || locationSize(loc) > maxZoneSize {
		return nil
	}
	key.name = strings.Clone(key.name)
	known, loaded := zones.LoadOrStore(key, loc)
	if !loaded {
		zones.n.Add(1)
	}
	return known.(*time.Location)
}

// shareZone has the time refer to the zone that values share, if it has the same rules.
func shareZone(t *time.Time) {
	known, loc := sharedZone(*t), t.Location()
	if known != nil && known != loc && reflect.DeepEqual(known, loc) {
		*t = t.In(known)
	}
}

// zoneSize returns what a time's zone takes that is its own.
func zoneSize(t time.Time, s *sizer) int {
	loc := t.Location()
	if sharedZone(t) == loc || !s.isNew(locationType(), unsafe.Pointer(loc)) {
		return 0
	}
	return locationSize(loc)
}

func locationSize(loc *time.Location) int {
	size, _ := locationType().Size(unsafe.Pointer(loc))
	return size
}

var locationType = sync.OnceValue(func() *Type { return Of(reflect.TypeFor[time.Location]()) })
