package main

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The table of the time zones' principal places, as it comes with the tz database
// (https://www.iana.org/time-zones). It is in the public domain.
//
//go:embed zone1970.tab
var zoneTable string

// A Place is a line of the table, as seen from a coordinate.
type Place struct {
	Zone      string
	Countries []string
	Km        float64 // from the coordinate
	Share     float64 // of the earth's surface, for which no other place is nearer
}

func (p Place) String() string {
	return fmt.Sprintf("%s (%s) is %.0f km away and the nearest place for %.2f %% of the earth",
		p.Zone, strings.Join(p.Countries, ","), p.Km, 100*p.Share)
}

// Nearest returns the place that is nearest to a coordinate in degrees, north and east positive.
// Each call reads the whole table, and compares samples all over the earth with all places to
// find the share.
func Nearest(ctx context.Context, lat, lon float64) (Place, error) {
	if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
		return Place{}, fmt.Errorf("there is no coordinate %v, %v", lat, lon)
	}
	places, points, err := readTable(zoneTable)
	if err != nil {
		return Place{}, err
	}
	here := at(lat, lon)
	nearest := here.nearest(points)
	found := places[nearest]
	found.Km = here.km(points[nearest])

	closer := 0
	for i := range samples {
		if i%1000 == 0 && ctx.Err() != nil {
			return Place{}, ctx.Err()
		}
		if sample(i).nearest(points) == nearest {
			closer++
		}
	}
	found.Share = float64(closer) / samples
	return found, nil
}

// readTable returns the places of the table and where they are.
func readTable(table string) (places []Place, points []point, err error) {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(strings.TrimSpace(line), "\t")
		if len(columns) < 3 {
			return nil, nil, fmt.Errorf("line %q: too few columns", line)
		}
		where, err := parsePoint(columns[1])
		if err != nil {
			return nil, nil, fmt.Errorf("line %q: %w", line, err)
		}
		places = append(places, Place{Zone: columns[2], Countries: strings.Split(columns[0], ",")})
		points = append(points, where)
	}
	return places, points, nil
}

// parsePoint reads degrees, minutes and perhaps seconds, like +4154+01229 or +513030-0000731.
func parsePoint(text string) (point, error) {
	second := strings.LastIndexAny(text, "+-")
	if second <= 0 {
		return point{}, fmt.Errorf("%q is not a coordinate", text)
	}
	lat, err := parseAngle(text[:second], 2)
	if err != nil {
		return point{}, err
	}
	lon, err := parseAngle(text[second:], 3)
	if err != nil {
		return point{}, err
	}
	return at(lat, lon), nil
}

// parseAngle reads a sign and that many digits of degrees, then two of minutes and two of seconds.
func parseAngle(text string, digits int) (float64, error) {
	n, err := strconv.Atoi(text[1:])
	if err != nil {
		return 0, err
	}
	if len(text) == 1+digits+2 {
		n *= 100 // no seconds
	}
	angle := float64(n/10000) + float64(n/100%100)/60 + float64(n%100)/3600
	if text[0] == '-' {
		angle = -angle
	}
	return angle, nil
}

// A point of the earth is the unit vector from its centre.
type point struct{ x, y, z float64 }

func at(lat, lon float64) point {
	φ, λ := lat*math.Pi/180, lon*math.Pi/180
	return point{math.Cos(φ) * math.Cos(λ), math.Cos(φ) * math.Sin(λ), math.Sin(φ)}
}

func (p point) dot(q point) float64 { return p.x*q.x + p.y*q.y + p.z*q.z }

// km returns the length of the great circle's arc from p to q.
func (p point) km(q point) float64 {
	const radius = 6371.0
	return radius * math.Acos(max(-1, min(1, p.dot(q))))
}

// nearest returns the index of the one of points to which the arc is shortest.
func (p point) nearest(points []point) int {
	best, most := 0, math.Inf(-1)
	for i, q := range points {
		if d := p.dot(q); d > most {
			best, most = i, d
		}
	}
	return best
}

const samples = 20_000

// sample returns one of points that are spread evenly over the earth: on a spiral whose turns
// are as far apart as the points on it.
func sample(i int) point {
	z := 1 - (2*float64(i)+1)/samples
	r := math.Sqrt(1 - z*z)
	λ := math.Pi * (3 - math.Sqrt(5)) * float64(i)
	return point{r * math.Cos(λ), r * math.Sin(λ), z}
}
