package sim

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A plan as text is what people read and keep: it stands for the same histories whatever planFor comes to make of its seed.
//
//	seed 1451, schedule 0, processes 2, servers 1, callers 2, keys 1, backend store, timeout 1m0s, lease 5s, later
//	faults broken-connection
//	p1 c0 call [0]
//	p0 c0 invalidateGroup all
//	p1 c1 call [0] within 20ms, cancelled
//
// Settings that are not named are zero.

// A setting is one value of a plan, and its name.
type setting struct {
	name  string
	value any // a pointer to it
}

// settings returns all that a plan consists of but faults and operations.
func (p *plan) settings() []setting {
	c := &p.config
	all := []setting{
		{"seed", &p.seed}, {"schedule", &p.schedule}, {"processes", &p.processes}, {"servers", &p.servers}, {"callers", &p.callers}, {"keys", &p.keys},
		{"backend", &c.backend}, {"timeout", &c.timeout}, {"stale", &c.stale}, {"lease", &c.lease}, {"jitter", &c.jitter},
		{"later", &c.later}, {"each", &c.each}, {"heeds", &c.heeds}, {"absent", &c.absent}, {"slow", &c.slow}, {"apart", &c.apart}, {"settles", &c.settles},
		{"lingers", &c.lingers}, {"linger", &c.linger}, {"named", &c.named}, {"program", &c.program},
	}
	if n := c.network; n != nil {
		all = append(all, setting{"connections", &n.conns}, setting{"failures", &n.failures}, setting{"replay", &n.replay})
	}
	return all
}

// String returns the plan as text.
func (p *plan) String() string {
	var settings, faults []string
	for _, s := range p.settings() {
		switch value := reflect.ValueOf(s.value).Elem(); {
		case value.IsZero():
		case value.Kind() == reflect.Bool:
			settings = append(settings, s.name)
		default:
			settings = append(settings, fmt.Sprint(s.name, " ", value.Interface()))
		}
	}
	for _, fault := range allFaults {
		if p.faults[fault] {
			faults = append(faults, fault)
		}
	}
	text := strings.Join(settings, ", ") + "\nfaults " + strings.Join(faults, ", ") + "\n"
	for i := range p.operations {
		text += fmt.Sprintf("p%d %s\n", p.operations[i].process, &p.operations[i])
	}
	return text
}

// parsePlan reads what plan.String returns.
func parsePlan(text string) (*plan, error) {
	p := &plan{faults: make(map[string]bool), config: config{network: new(network)}}
	settings, rest, _ := strings.Cut(text, "\n")
	faults, rest, _ := strings.Cut(rest, "\n")
	known := p.settings()
	for _, text := range strings.Split(settings, ", ") {
		name, value, _ := strings.Cut(text, " ")
		at := slices.IndexFunc(known, func(s setting) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no setting %q", text)
		}
		if err := known[at].set(value); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	if p.config.backend != "memcached" {
		p.config.network = nil
	}
	all, isFaults := strings.CutPrefix(faults, "faults ")
	if !isFaults {
		return nil, fmt.Errorf("the second line has no faults: %q", faults)
	}
	for _, fault := range strings.FieldsFunc(all, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(allFaults, fault) {
			return nil, fmt.Errorf("there is no fault %q", fault)
		}
		p.faults[fault] = true
	}
	for line := range strings.Lines(rest) {
		o, err := parseOperation(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		if o.process >= p.processes || o.caller >= p.callers || slices.ContainsFunc(o.keys, func(key int) bool { return key >= p.keys }) {
			return nil, fmt.Errorf("%q is of a process, a caller or a key that there isn't", line)
		}
		p.operations = append(p.operations, o)
	}
	return p, nil
}

// set reads the value; one that is true or false has no text.
func (s setting) set(text string) (err error) {
	switch v := s.value.(type) {
	case *bool:
		*v = true
	case *string:
		*v = text
	case *time.Duration:
		*v, err = time.ParseDuration(text)
	case *uint64:
		*v, err = strconv.ParseUint(text, 10, 64)
	case *int:
		*v, err = strconv.Atoi(text)
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
	default:
		err = fmt.Errorf("a %T can't be read", s.value)
	}
	return err
}

var operationText = regexp.MustCompile(`^p(\d+) c(\d+) (\w+) (?:\[([\d ]*)\](?: in ([\w+]+))?|([\w+]+))(?: under (\w+))?(?: within ([\w.µ]+))?(, cancelled)?(, too late)?$`)

// parseOperation reads a process and what operation.String returns.
func parseOperation(text string) (o operation, err error) {
	m := operationText.FindStringSubmatch(text)
	if m == nil || !slices.Contains(allOperations, m[3]) {
		return o, fmt.Errorf("%q is not an operation", text)
	}
	o.process, _ = strconv.Atoi(m[1])
	o.caller, _ = strconv.Atoi(m[2])
	o.kind, o.group, o.mode, o.cancelled, o.isLate = m[3], m[5]+m[6], m[7], m[9] != "", m[10] != ""
	if o.mode != "" && !slices.Contains(allModes, o.mode) {
		return o, fmt.Errorf("%q: there is no %q", text, o.mode)
	}
	for _, text := range strings.Fields(m[4]) {
		key, err := strconv.Atoi(text)
		if err != nil {
			return o, err
		}
		o.keys = append(o.keys, key)
	}
	if m[8] != "" {
		o.patience, err = time.ParseDuration(m[8])
	}
	return o, err
}

// A plan that is read is the one that was written.
func TestPlanText(t *testing.T) {
	for seed := uint64(1); seed <= 2000; seed++ {
		want := planFor(seed)
		want.schedule = seed % 3
		got, err := parsePlan(want.String())
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, want)
		}
		maps.DeleteFunc(want.faults, func(_ string, may bool) bool { return !may })
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: want\n%sgot\n%s", seed, want, got)
		}
	}
	const settings, faults = "processes 1, callers 1, keys 1\n", "faults eviction\n"
	for _, text := range []string{
		"", settings, settings + faults + "p0 c0 call", settings + faults + "p1 c0 call [0]", settings + faults + "p0 c1 call [0]", settings + faults + "p0 c0 call [1]",
		settings + faults + "p0 c0 sing [0]", settings + faults + "p0 c0 call [0] under water", settings + "faults rain\n", "colour red\n" + faults, "keys many\n" + faults,
	} {
		if p, err := parsePlan(text); err == nil {
			t.Errorf("%q is read as %s", text, p)
		}
	}
}
