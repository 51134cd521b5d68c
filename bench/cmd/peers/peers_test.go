package main

import (
	"flag"
	"testing"
)

// Every contender hits what it stored, and what a hit returns is what the function does.
func TestWarm(t *testing.T) {
	warmAll(t, loadPlace)
	warmAll(t, loadPage)
	warmAll(t, loadPlaces)
}

func warmAll[V any](t *testing.T, fn load[V]) {
	for _, c := range append(ours[V](), peers[V]()...) {
		if _, err := c.warm(fn); err != nil {
			t.Error(err)
		}
	}
}

// Every peer has a note.
func TestNotes(t *testing.T) {
	noted := make(map[string]bool)
	for _, n := range notes {
		noted[n.name] = true
	}
	for _, c := range peers[place]() {
		if !noted[c.name] {
			t.Errorf("%s has no note", c.name)
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	const page = `<!-- questions -->
| | A: | A2: | B: | C: | D: |
|---|---|---|---|---|---|
| **cacheutils, locmem** | ok | ok | ok | ok | ok |
| a/half 1.0 | outdated stays | ok | ok, started again | n/a | hangs |
<!-- /questions -->`
	for name, want := range map[string]string{
		"cacheutils, locmem": "none",
		"a/half":             "A: outdated stays, D: hangs (C not asked)",
		"a/other":            "not asked",
	} {
		if got := wrongAnswers(page, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// The two of a pair are measured as often, and the ratio is ours to theirs.
func TestCompare(t *testing.T) {
	if err := flag.Set("test.benchtime", "1ms"); err != nil {
		t.Fatal(err)
	}
	slow, fast := 0, 0
	r := compare(
		[]subject{{"slow", func(b *testing.B) {
			slow++
			for b.Loop() {
				for range 2000 {
					must(nil)
				}
			}
		}}},
		subject{"fast", func(b *testing.B) {
			fast++
			for b.Loop() {
				for range 200 {
					must(nil)
				}
			}
		}}, 3)
	if slow != fast || r.ratios[0].Median < 1 {
		t.Errorf("%d and %d runs, ratio %v", slow, fast, r.ratios[0])
	}
}
