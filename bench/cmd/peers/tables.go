package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cacheutils/cacheutils/bench/internal/measure"
)

// short is for docs/comparison.md: a row for each peer, with the ratios of some of the tables.
func (r *results) short() string {
	columns := []struct{ title, value, way, ours string }{
		{code(typed) + ", " + hitAlone, small, hitAlone, typed},
		{code(reflected) + ", " + hitAlone, small, hitAlone, reflected},
		{code(typed) + ", " + hitTogether, small, hitTogether, typed},
		{code(typed) + ", " + oneInHundred, small, oneInHundred, typed},
		{code(typed) + ", " + missAlone, small, missAlone, typed},
		{code(typed) + ", a hit of " + list, list, hitAlone, typed},
		{"the same with `Shared()`", list, hitAlone, shared},
	}
	var b strings.Builder
	b.WriteString("| | ns | B | allocs |")
	for _, c := range columns {
		b.WriteString(" " + c.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", 3+len(columns)) + "\n")
	hits := r.find(small, hitAlone)
	for i, name := range hits.ours {
		if name != shared {
			fmt.Fprintf(&b, "| **cacheutils, %s** | %s |%s\n", code(name), hits.mine(i), strings.Repeat(" |", len(columns)))
		}
	}
	for i, peer := range hits.rows {
		fmt.Fprintf(&b, "| %s | %s |", peer.peer, peer.cost)
		for _, c := range columns {
			t := r.find(c.value, c.way)
			fmt.Fprintf(&b, " %s |", t.rows[i].ratios[slices.Index(t.ours, c.ours)])
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\nThe columns ns, B and allocs are what one hit of %s costs. The others are how many times as long ours takes,\n"+
		"for %s unless they say otherwise. %s.\n", small, small, r.machine)
	b.WriteString("\nWhat you get for that time:\n\n" + r.notes)
	if len(r.remote) > 0 {
		b.WriteString("\nA hit of " + small + " on memcached, compared with the calls of the client alone:\n\n" + r.remoteTable())
	}
	return b.String()
}

// long is for docs/performance.md.
func (r *results) long() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s, in %d rounds.\n", r.machine, r.rounds)
	for _, t := range r.local {
		fmt.Fprintf(&b, "\n### %s: %s\n\n| | ns | B | allocs |", upper(t.value), t.way)
		for _, name := range t.ours {
			fmt.Fprintf(&b, " %s / it |", code(name))
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", 3+len(t.ours)) + "\n")
		for i, name := range t.ours {
			fmt.Fprintf(&b, "| **cacheutils, %s** | %s |%s\n", code(name), t.mine(i), strings.Repeat(" |", len(t.ours)))
		}
		for _, row := range t.rows {
			fmt.Fprintf(&b, "| %s | %s |", row.peer, row.cost)
			for _, ratio := range row.ratios {
				fmt.Fprintf(&b, " %s |", ratio)
			}
			b.WriteString("\n")
		}
	}
	if len(r.remote) > 0 {
		b.WriteString("\n### A hit on memcached\n\n" + r.remoteTable())
	}
	b.WriteString("\n### What you get for that time\n\n" + r.notes)
	return b.String()
}

func (r *results) remoteTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| ours | ns | B | allocs | the client's | ns | B | allocs | ours / it | with %d goroutines |\n",
		remoteGoroutines)
	b.WriteString("|---|---:|---:|---:|---|---:|---:|---:|---:|---:|\n")
	for _, p := range r.remote {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", code(p.ours), p.alone.ours[0], p.peer, p.alone.cost,
			p.alone.ratios[0], p.together.ratios[0])
	}
	return b.String()
}

func (r *results) find(value, way string) table {
	i := slices.IndexFunc(r.local, func(t table) bool { return t.value == value && t.way == way })
	return r.local[i]
}

// mine is what the ith of ours costs, of all pairs that it was measured in.
func (t table) mine(i int) measure.Cost {
	var all []measure.Cost
	for _, row := range t.rows {
		all = append(all, row.ours[i])
	}
	return measure.Median(all)
}

// code marks the name of a function, which stands before any comma.
func code(name string) string {
	function, rest, more := strings.Cut(name, ", ")
	if !more {
		return "`" + function + "`"
	}
	if strings.HasSuffix(rest, "()") {
		return "`" + function + "`, `" + rest + "`"
	}
	return "`" + function + "`, " + rest
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
