package codec

import (
	"crypto/rand"
	"reflect"
	"testing"
	"time"
	"unsafe"
)

func TestDetach(t *testing.T) {
	type part struct {
		text string
		at   time.Time
	}
	type value struct {
		Exported string
		_        string
		parts    [2]part
		local    time.Time
		slice    []string
	}
	page := string(make([]byte, 1000)) + "text"
	load := func() *time.Location {
		loc, err := time.LoadLocationFromTZData("Test/Rome", romeData(t))
		if err != nil {
			t.Fatal(err)
		}
		return loc
	}
	now := time.Now()
	newValue := func() *value {
		return &value{page[1000:], page, [2]part{{page[500:500], now.In(load())}, {page[1:], now.UTC()}}, now, []string{page[1:]}}
	}
	first, second, want := newValue(), newValue(), newValue()
	Of(reflect.TypeFor[value]()).Detach(unsafe.Pointer(first))
	Of(reflect.TypeFor[value]()).Detach(unsafe.Pointer(second))
	if first.Exported != want.Exported || first.parts[0].text != "" || first.parts[1].text != want.parts[1].text ||
		!first.parts[0].at.Equal(now) || first.parts[0].at.String() != want.parts[0].at.String() || first.local != now {
		t.Errorf("want %v, got %v", want, first)
	}
	for name, s := range map[string]string{"field": first.Exported, "element": first.parts[1].text, "empty": first.parts[0].text} {
		at, begin := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(page)))
		if at >= begin && at <= begin+uintptr(len(page)) {
			t.Errorf("%s: it is still in the page", name)
		}
	}
	if unsafe.StringData(first.slice[0]) != unsafe.StringData(want.slice[0]) {
		t.Error("want nothing changed in a slice, which others may be reading")
	}
	if first.parts[0].at.Location() != second.parts[0].at.Location() {
		t.Error("want one zone for both")
	}
	if got := first.parts[1].at; got != now.UTC() {
		t.Errorf("want %v, got %v", now.UTC(), got)
	}
}

// Zones of one name and offset whose rules differ stay what they are. The process keeps what it has met under a name, so
// that each run of the test has a name of its own.
func TestDetach_OtherZone(t *testing.T) {
	name := "Test/" + rand.Text()
	loc, err := time.LoadLocationFromTZData(name, romeData(t))
	if err != nil {
		t.Fatal(err)
	}
	summer := time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC)
	in, fixed := summer.In(loc), summer.In(time.FixedZone(name, 2*60*60))
	typ := Of(timeType)
	typ.Detach(unsafe.Pointer(&in))
	typ.Detach(unsafe.Pointer(&fixed))
	if winter := fixed.AddDate(0, 6, 0); winter.Hour() != 2 {
		t.Errorf("want the fixed zone, got %v", winter)
	}
	if in.Location() != loc {
		t.Error("want the first zone to be the one that is shared")
	}
}
