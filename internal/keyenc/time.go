package keyenc

import (
	"reflect"
	"strconv"
	"time"
	"unsafe"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	locationType = reflect.TypeFor[time.Location]()
)

// timeBody renders a time as ('2026-01-02T03:04:05.6+01:00[Europe/Rome]'): the instant in its own
// zone with its nanoseconds, the offset (Z for time.UTC alone), and the location's name, in <> where that is only
// what the offset is called. The monotonic reading doesn't count.
func timeBody(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
	t := *(*time.Time)(p)
	dst = appendInstant(append(dst, "('"...), t)
	if t.Location() == time.UTC {
		return append(dst, "Z')"...), nil
	}
	abbreviation, offset := t.Zone()
	dst = appendOffset(dst, offset)
	switch name := t.Location().String(); {
	case name == "":
	case isFixed(t, name, abbreviation):
		dst = append(appendEscaped(append(dst, '<'), name, '\''), '>')
	default:
		dst = append(appendEscaped(append(dst, '['), name, '\''), ']')
	}
	return append(dst, "')"...), nil
}

// appendInstant renders date and time of day. A time so far off that its year could overflow
// is rendered as @ and its Unix time.
func appendInstant(dst []byte, t time.Time) []byte {
	const far = 1 << 55 // seconds, about 1e9 years
	if u := t.Unix(); u < -far || u > far {
		dst = strconv.AppendInt(append(dst, '@'), u, 10)
		return strconv.AppendInt(append(dst, '.'), int64(t.Nanosecond()), 10)
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.999999999")
}

// appendOffset renders an offset in seconds as +hh:mm, or +hh:mm:ss where it has seconds.
func appendOffset(dst []byte, seconds int) []byte {
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	dst = appendTwoDigits(append(dst, sign), seconds/3600)
	dst = appendTwoDigits(append(dst, ':'), seconds/60%60)
	if seconds%60 != 0 {
		dst = appendTwoDigits(append(dst, ':'), seconds%60)
	}
	return dst
}

func appendTwoDigits(dst []byte, n int) []byte {
	if n < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// isFixed reports whether t's location, of the given name, is one offset for all time under the
// one name that it has for t. What time.FixedZone and time.Parse return is.
func isFixed(t time.Time, name, abbreviation string) bool {
	if name != abbreviation {
		return false
	}
	start, end := t.ZoneBounds()
	return start.IsZero() && end.IsZero()
}

// locationBody renders a location as ('Europe/Rome+01:00'): its name and its offset in 1970,
// which distinguishes zones of the same name.
func locationBody(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
	l := (*time.Location)(p)
	_, offset := time.Unix(0, 0).In(l).Zone()
	dst = appendEscaped(append(dst, "('"...), l.String(), '\'')
	return append(appendOffset(dst, offset), "')"...), nil
}
