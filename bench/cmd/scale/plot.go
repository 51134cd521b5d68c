package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A plot has a place on the x axis for each of the ticks, at equal distances, and a logarithmic y
// axis: since the ticks are of things that double or grow tenfold, both axes are logarithmic.
type plot struct {
	name  string // of its file, and of its heading as an anchor
	title string
	about string // what is measured, in one sentence
	found string // what came out, in another; if empty, how much each line grows
	x, y  string // what the axes count
	ticks []string
	unit  unit
	lines []line
}

// A line has a value for each tick; NaN where there is none.
type line struct {
	name   string
	values []float64
}

// A unit writes values of an axis.
type unit func(v float64) string

func nanoseconds(v float64) string {
	return scaled(v, 1000, "ns", "µs", "ms", "s")
}

func byteCount(v float64) string {
	return scaled(v, 1000, "B", "kB", "MB", "GB")
}

func scaled(v, step float64, units ...string) string {
	for _, u := range units[:len(units)-1] {
		if v < step*0.9995 {
			return short(v) + " " + u
		}
		v /= step
	}
	return short(v) + " " + units[len(units)-1]
}

// short writes v with at most three digits that count.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.*f", 2-int(math.Log10(max(v, 1))), v), "0"), ".")
}

// The picture, in pixels.
const (
	width, height = 760, 380
	left, right   = 70, 190
	top, bottom   = 36, 56
)

// colours, and those of the texts, can be read on a light and on a dark page.
var colours = []string{"#2f81d6", "#d9711c", "#2a9d6f", "#b455b8", "#8a8f98"}

// svg draws the plot.
func (p plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>%s</desc>\n", html.EscapeString(p.title), html.EscapeString(p.about))
	b.WriteString(`<style>
text { font: 13px sans-serif; fill: #757c86 }
.grid { stroke: #8a8f98; stroke-opacity: .3 }
</style>
`)
	low, high := p.bounds()
	x := func(i int) float64 {
		return left + float64(i)*float64(width-left-right)/float64(max(len(p.ticks)-1, 1))
	}
	y := func(v float64) float64 {
		return height - bottom - math.Log(v/low)/math.Log(high/low)*(height-top-bottom)
	}
	for _, v := range marks(low, high) {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, width-right, y(v), y(v))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, y(v)+4, p.unit(v))
	}
	for i, tick := range p.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(i), x(i), top, height-bottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), height-bottom+20, tick)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-12, html.EscapeString(p.x))
	fmt.Fprintf(&b, `<text x="%d" y="16">%s</text>`+"\n", 8, html.EscapeString(p.y))
	places := p.labels(y)
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		var points []string
		end := 0
		for j, v := range l.values {
			if !math.IsNaN(v) {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(j), y(v)))
				end = j
			}
		}
		if points == nil {
			continue
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, colour, strings.Join(points, " "))
		for _, point := range points {
			cx, cy, _ := strings.Cut(point, ",")
			fmt.Fprintf(&b, `<circle fill="%s" r="3" cx="%s" cy="%s"/>`, colour, cx, cy)
		}
		fmt.Fprintf(&b, `<line stroke="%s" stroke-opacity=".4" x1="%.1f" y1="%.1f" x2="%d" y2="%.1f"/>`,
			colour, x(end), y(l.values[end]), width-right+14, places[i])
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" style="fill: %s">%s</text>`+"\n", width-right+18, places[i]+4, colour, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bounds are those of the y axis: what a mark can be drawn at, around all values.
func (p plot) bounds() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, l := range p.lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	low, high = low/1.3, high*1.3
	if high < 10*low {
		low, high = low/2, high*2
	}
	return low, high
}

// marks are the powers of ten in between, and their double and fivefold where those are few.
func marks(low, high float64) []float64 {
	factors := []float64{1, 2, 5}
	if high/low > 1000 {
		factors = factors[:1]
	}
	var all []float64
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, f := range factors {
			if v := decade * f; v >= low && v <= high {
				all = append(all, v)
			}
		}
	}
	return all
}

// labels returns where the names of the lines stand: at their ends, and apart from each other.
func (p plot) labels(y func(float64) float64) []float64 {
	const apart = 17
	places := make([]float64, len(p.lines))
	order := make([]int, len(p.lines))
	for i, l := range p.lines {
		order[i] = i
		for _, v := range l.values {
			if !math.IsNaN(v) {
				places[i] = y(v)
			}
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return int(places[i]) - int(places[j]) })
	for n, i := range order[1:] {
		places[i] = max(places[i], places[order[n]]+apart)
	}
	// What was pushed out at the bottom moves all others up.
	bound := float64(height - bottom)
	for _, i := range slices.Backward(order) {
		places[i] = min(places[i], bound)
		bound = places[i] - apart
	}
	return places
}

// markdown is the plot's section: the picture, what it shows in two sentences, and the figures.
func (p plot) markdown(folder string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n![%s](%s/%s.svg)\n\n%s %s\n\n", p.title, p.title, folder, p.name, p.about, cmp.Or(p.found, p.growth()))
	fmt.Fprintf(&b, "| %s | %s |\n|---|%s\n", p.x, strings.Join(p.ticks, " | "), strings.Repeat("---:|", len(p.ticks)))
	for _, l := range p.lines {
		fmt.Fprintf(&b, "| %s |", l.name)
		for _, v := range l.values {
			if math.IsNaN(v) {
				b.WriteString(" |")
			} else {
				fmt.Fprintf(&b, " %s |", p.unit(v))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// growth says in one sentence how much the lines grow from end to end.
func (p plot) growth() string {
	var parts []string
	for _, l := range p.lines {
		var known []float64
		for _, v := range l.values {
			if !math.IsNaN(v) {
				known = append(known, v)
			}
		}
		if len(known) > 1 {
			first, last := known[0], known[len(known)-1]
			parts = append(parts, fmt.Sprintf("%s from %s to %s (× %s)", l.name, p.unit(first), p.unit(last), short(last/first)))
		}
	}
	return "From the left to the right it is, for " + strings.Join(parts, "; for ") + "."
}
