package store

import (
	"testing"

	"github.com/cacheutils/cacheutils/cachekey"
)

// What stands for a key in errors and warnings has the name of its function, whatever that looks like, and nothing of the
// arguments.
func TestKeyString(t *testing.T) {
	for text, want := range map[string]string{
		"[cached]example.com/app/geo.LoadCity:42(('hunter2',))": " of example.com/app/geo.LoadCity:42",
		"[cached]geo.load()": " of geo.load",
		"[cached]geo.load[func(context.Context,int)([]int64,error)]((0,))": " of geo.load",
		"[cached]geo.Map[string,func(int)error].Load(('hunter2',))":        " of geo.Map",
		"[cached]geo.Map[string,[]int].Load(('hunter2',))":                 " of geo.Map[string,[]int].Load",
		"[cached]geo.load[('hunter2', 3)]((0,))":                           " of geo.load",
		"[cached]geo.load['hunter2']((0,))":                                " of geo.load['hunter2']",
		"[cached]geo\nload(('hunter2',))":                                  ` of geo\nload`,
		"[cached]geo.load({'a': 'hunter2[((])'})":                          " of geo.load",
		"hunter2": "",
	} {
		k := Key{text: text}
		if want = "key " + cachekey.Digest(text) + want; k.String() != want {
			t.Errorf("%q: %s, want %s", text, k, want)
		}
	}
}
