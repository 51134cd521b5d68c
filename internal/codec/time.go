package codec

import (
	"encoding/binary"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A time.Time is written as seconds and nanoseconds since 1970 and its location:
//
//	inUTC     time.UTC: nothing more
//	inLocal   time.Local: offset and abbreviation of the zone at that instant
//	inFixed   a zone made by time.FixedZone: offset and name
//	inNamed   any other: offset, abbreviation and the location's name
//
// Local and named locations are taken from the decoding process, as long as they have the same
// offset and abbreviation at that instant. Otherwise (another machine's time zone, another
// version of the zone database) the time gets a fixed zone, which keeps what it prints as. What
// a process can't find by name, it doesn't write either.
const (
	inUTC = iota
	inLocal
	inFixed
	inNamed
)

// zoneMemory is about what a new location takes.
const zoneMemory = 320

func encodeTime(e *encoder, p unsafe.Pointer) error {
	t := *(*time.Time)(p)
	e.mayDiffer = true
	e.buf = binary.AppendVarint(e.buf, t.Unix())
	e.buf = binary.AppendUvarint(e.buf, uint64(t.Nanosecond()))
	loc := t.Location()
	if loc == time.UTC {
		e.buf = append(e.buf, inUTC)
		return nil
	}
	abbreviation, offset := t.Zone()
	if int64(offset) != int64(int32(offset)) {
		return unsupportedf("a time zone that is %d seconds east of UTC", offset)
	}
	name := loc.String()
	where := byte(inNamed)
	if loc == time.Local {
		where = inLocal
	} else if reflect.DeepEqual(loc, time.FixedZone(abbreviation, offset)) {
		where = inFixed
	} else if known := location(name); known == nil || !agrees(t.In(known), abbreviation, offset) {
		return unsupportedf("a time in location %s, which time.LoadLocation doesn't know", errtext.Quote(name))
	}
	e.held += zoneMemory
	e.buf = append(e.buf, where)
	e.buf = binary.AppendVarint(e.buf, int64(offset))
	e.held += uint64(len(abbreviation))
	e.buf = appendString(e.buf, abbreviation)
	if where == inNamed {
		e.held += uint64(len(name))
		e.buf = appendString(e.buf, name)
	}
	return nil
}

func decodeTime(d *decoder, p unsafe.Pointer) error {
	sec, err := d.varint()
	if err != nil {
		return err
	}
	nsec, err := d.uvarint()
	if err != nil {
		return err
	}
	if nsec >= 1e9 {
		return undecodablef("a time with %d nanoseconds", nsec)
	}
	where, err := d.byte()
	if err != nil {
		return err
	}
	t := time.Unix(sec, int64(nsec))
	if where == inUTC {
		*(*time.Time)(p) = t.UTC()
		return nil
	}
	if where > inNamed {
		return undecodablef("a time of kind %d", where)
	}
	if err := d.hold(zoneMemory); err != nil {
		return err
	}
	offset, err := d.varint()
	if err != nil {
		return err
	}
	if offset != int64(int32(offset)) {
		return undecodablef("a time zone that is %d seconds east of UTC", offset)
	}
	abbreviation, err := d.string()
	if err != nil {
		return err
	}
	name := ""
	if where == inNamed {
		if name, err = d.string(); err != nil {
			return err
		}
	}
	*(*time.Time)(p), err = d.inLocation(t, where, name, abbreviation, int(offset))
	return err
}

// inLocation returns t in the location that was written.
func (d *decoder) inLocation(t time.Time, where byte, name, abbreviation string, offset int) (time.Time, error) {
	if d.inKey && where == inNamed {
		return t, errZoneInKey
	}
	switch where {
	case inLocal:
		if t = t.Local(); agrees(t, abbreviation, offset) {
			return t, nil
		}
	case inNamed:
		loc, err := d.location(name)
		if err != nil {
			return t, err
		}
		if loc != nil {
			if t = t.In(loc); agrees(t, abbreviation, offset) {
				return t, nil
			}
		}
	}
	zone := time.FixedZone(abbreviation, offset)
	if d.inKey && (where == inLocal || zone != time.FixedZone(abbreviation, offset)) {
		return t, errZoneInKey
	}
	return t.In(zone), nil
}

// location is like the function, and remembers what that doesn't.
func (d *decoder) location(name string) (*time.Location, error) {
	if loc, ok := d.zones[name]; ok {
		return loc, nil
	}
	loc := location(name)
	if loc != nil && knownLocation(name) != nil {
		return loc, nil
	}
	if len(d.zones) == maxLookups {
		return nil, undecodablef("more than %d locations that are not kept", maxLookups)
	}
	if d.zones == nil {
		d.zones = make(map[string]*time.Location)
	}
	d.zones[name] = loc
	return loc, nil
}

// errZoneInKey is for a time in a map's key whose location has another address here than where it was written.
var errZoneInKey = unknownTypef("the key of a map has a time in a time zone that is")

func agrees(t time.Time, abbreviation string, offset int) bool {
	a, o := t.Zone()
	return a == abbreviation && o == offset
}

const (
	// maxLookups is how many names one Decode looks up that will have to be looked up again: nobody has such a location, or
	// there are too many. Each lookup costs some system calls and the reading of a directory, or of a table.
	maxLookups = 16

	// maxLocations bounds the cache of locations, since a file system that ignores case
	// knows each under many names. The zone database has about 600.
	maxLocations = 1024
)

var locations struct {
	sync.Map // string to *time.Location
	n        atomic.Int32
}

// location returns the location of that name, or nil if there is none.
func location(name string) *time.Location {
	if loc := knownLocation(name); loc != nil {
		return loc
	}
	if !plausible(name) {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	if locations.n.Load() >= maxLocations {
		return loc
	}
	// All times of one location share the pointer, as those of one LoadLocation do.
	known, loaded := locations.LoadOrStore(name, loc)
	if !loaded {
		locations.n.Add(1)
	}
	return known.(*time.Location)
}

// knownLocation returns the location of that name that times share, or nil if there is none yet.
func knownLocation(name string) *time.Location {
	loc, _ := locations.Load(name)
	known, _ := loc.(*time.Location)
	return known
}

// plausible reports whether name can be the name of a zone, like America/Argentina/Ushuaia or
// Etc/GMT+1. No path to another place in the file system is.
func plausible(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '/' || name == "Local" {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/', c == '_', c == '-', c == '+':
		default:
			return false
		}
	}
	return true
}
