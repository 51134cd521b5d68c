package main

import (
	"fmt"
	"strings"

	"github.com/cacheutils/cacheutils/bench/internal/report"
	"github.com/cacheutils/cacheutils/internal/test/fivequestions"
)

// The peers by what is called of them. %s is the module and its version.
const (
	bareMakeFunc    = "bare reflect.MakeFunc"
	otterByHand     = "%s, GetIfPresent and Set by hand"
	otterLoading    = "%s, loading Get"
	otterSprintf    = "%s, loading Get, its key text"
	obcacheWrap     = "%s, Wrap"
	gofnextCacheFn  = "%s, CacheFn2Err"
	sturdycFetch    = "%s, GetOrFetch"
	ristrettoByHand = "%s, Get and SetWithTTL by hand"
	goRedisOnce     = "%s, Once, its TinyLFU without Redis"
	goCacheByHand   = "%s, Get and Set by hand"
	golangLRUByHand = "%s expirable, Get and Add by hand"
)

// A note says what you get for that time.
type note struct {
	name     string
	module   string
	values   string // whose a result is
	stampede string // what many callers for one missing key do
	key      string // how it is made
	more     string
}

const (
	copies    = "a copy each"
	sharing   = "shared by callers"
	oneEach   = "each computes"
	oneForAll = "one computes"
	sprintf   = "fmt.Sprintf by hand"
	structKey = "a struct by hand"
	arguments = "from the arguments"
)

var notes = []note{
	{bareMakeFunc, "", sharing, "no cache", "none", "the floor for a wrapper by reflection"},
	{otterByHand, "github.com/maypok86/otter/v2", sharing, oneEach, sprintf, ""},
	{otterLoading, "github.com/maypok86/otter/v2", sharing, oneForAll, structKey, ""},
	{otterSprintf, "github.com/maypok86/otter/v2", sharing, oneForAll, sprintf, ""},
	{obcacheWrap, "github.com/1mb-dev/obcache-go/v2", sharing, oneForAll, arguments, "two functions of one cache share keys"},
	{gofnextCacheFn, "github.com/ahuigo/gofnext", sharing, oneForAll, arguments, "grows without bound; the context left out by hand"},
	{sturdycFetch, "github.com/viccon/sturdyc", sharing, oneForAll, sprintf, ""},
	{ristrettoByHand, "github.com/dgraph-io/ristretto/v2", sharing, oneEach, sprintf, "a Set may be dropped"},
	{goRedisOnce, "github.com/go-redis/cache/v9", copies, oneForAll, sprintf, ""},
	{goCacheByHand, "github.com/patrickmn/go-cache", sharing, oneEach, sprintf, "grows without bound"},
	{golangLRUByHand, "github.com/hashicorp/golang-lru/v2", sharing, oneEach, structKey, ""},
}

// title is how tables call what a note is about.
func title(name string) string {
	for _, n := range notes {
		if n.name == name && n.module != "" {
			return fmt.Sprintf(n.name, report.Name(n.module)+" "+report.Version(n.module))
		}
	}
	return name
}

// notesTable has a row for each peer. What it answers wrong comes from the table of the five
// questions in page.
func notesTable(page string) string {
	var b strings.Builder
	b.WriteString("| | results | many callers, one missing key | key | wrong answers to the five questions | |\n|---|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| **cacheutils** | %s; shared with `Shared()` | %s, in all processes that have a server | %s | %s | |\n",
		copies, oneForAll, arguments, wrongAnswers(page, "cacheutils, locmem"))
	for _, n := range notes {
		wrong := "not asked"
		if n.module != "" && n.name != otterByHand {
			wrong = wrongAnswers(page, report.Name(n.module))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", title(n.name), n.values, n.stampede, n.key, wrong, n.more)
	}
	return b.String()
}

// wrongAnswers returns those in the row that begins with name.
func wrongAnswers(page, name string) string {
	for _, line := range strings.Split(report.Between(page, "questions"), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if !strings.HasPrefix(strings.Trim(cells[0], " *"), name) || len(cells) != len(fivequestions.Questions)+1 {
			continue
		}
		var wrong, unasked []string
		for i, q := range fivequestions.Questions {
			answer := strings.TrimSpace(cells[i+1])
			switch {
			case answer == fivequestions.NotApplicable:
				unasked = append(unasked, q.Name)
			case !strings.HasPrefix(answer, fivequestions.OK):
				wrong = append(wrong, q.Name+": "+answer)
			}
		}
		text := "none"
		if wrong != nil {
			text = strings.Join(wrong, ", ")
		}
		if unasked != nil {
			text += " (" + strings.Join(unasked, ", ") + " not asked)"
		}
		return text
	}
	return "not asked"
}
