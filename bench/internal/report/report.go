// Package report puts what the commands of this module measured into documents, and says on what
// it was measured.
package report

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Write puts text into the file, between <!-- mark --> and <!-- /mark -->.
func Write(file, mark, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	next, err := Replace(string(old), mark, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(next), 0o644)
}

// Replace returns doc with text between <!-- mark --> and <!-- /mark -->.
func Replace(doc, mark, text string) (string, error) {
	begin, end := "<!-- "+mark+" -->", "<!-- /"+mark+" -->"
	before, rest, ok := strings.Cut(doc, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", fmt.Errorf("there is no %s with a %s after it", begin, end)
	}
	return before + begin + "\n" + text + end + after, nil
}

// Between returns what stands between <!-- mark --> and <!-- /mark --> in doc, or "".
func Between(doc, mark string) string {
	_, rest, _ := strings.Cut(doc, "<!-- "+mark+" -->")
	text, _, ok := strings.Cut(rest, "<!-- /"+mark+" -->")
	if !ok {
		return ""
	}
	return text
}

// Name is how a module is called in tables, without its host and major version.
func Name(module string) string {
	name := strings.TrimPrefix(module, "github.com/")
	if i := strings.LastIndex(name, "/v"); i >= 0 {
		name = name[:i]
	}
	return name
}

// Version returns the version of a module that is linked in here, without the v.
func Version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "?"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			return strings.TrimSuffix(strings.TrimPrefix(dep.Version, "v"), "+incompatible")
		}
	}
	return "?"
}

// Machine says when and on what something is measured.
func Machine() string {
	return fmt.Sprintf("%s, %s, GOMAXPROCS %d, %s/%s, %s", time.Now().UTC().Format(time.DateOnly), cpu(),
		runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// cpu is the processor's name, where the system has it.
func cpu() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
