// Questions asks this module and its peers what happens when a value is invalidated, given up
// or lost while it is being computed, and prints the answers as a table in Markdown:
//
//	cd bench
//	go run ./cmd/questions  # prints it
//	go run ./cmd/questions -write ../docs/comparison.md -short ../README.md
//
// docs/comparison.md gets all rows. README.md gets one for all backends of this module where they
// answer alike. Both have the table between <!-- questions --> and <!-- /questions -->.
//
// Package fivequestions has the questions. Each is asked in a process of its own: a peer that hangs, or takes
// its process down, is reported and the others go on. The rows of this module on memcached need that program.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/bench/internal/report"
	"github.com/cacheutils/cacheutils/internal/test/fivequestions"
)

func main() {
	write := flag.String("write", "", "a `file` to put the table in, between the markers")
	short := flag.String("short", "", "a `file` to put the short form in, between the markers")
	ask := flag.String("ask", "", "ask one `candidate/question` in this process and print the answer")
	flag.Parse()
	if *ask != "" {
		fmt.Println(askHere(*ask))
		return
	}
	if err := run(*write, *short); err != nil {
		fmt.Fprintln(os.Stderr, "questions:", err)
		os.Exit(1)
	}
}

func run(write, short string) error {
	rows, err := ask()
	if err != nil {
		return err
	}
	if write == "" && short == "" {
		fmt.Print(table(rows))
	}
	if write != "" {
		if err := report.Write(write, "questions", table(rows)); err != nil {
			return err
		}
	}
	if short != "" {
		return report.Write(short, "questions", table(shorten(rows)))
	}
	return nil
}

// A row is what a candidate answered.
type row struct {
	title   string
	isOurs  bool
	answers []string // to each of fivequestions.Questions
}

// ask asks every candidate every question.
func ask() ([]row, error) {
	var rows []row
	for _, c := range candidates {
		answers, err := answersOf(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{c.title(), c.module == "", answers})
	}
	return rows, nil
}

// shorten returns rows with one for all backends of this module, unless their answers differ.
func shorten(rows []row) []row {
	var ours, others []row
	for _, r := range rows {
		if r.isOurs {
			ours = append(ours, r)
		} else {
			others = append(others, r)
		}
	}
	for _, r := range ours {
		if !slices.Equal(r.answers, ours[0].answers) {
			return rows
		}
	}
	if len(ours) > 0 {
		others = append([]row{{"**cacheutils**", true, ours[0].answers}}, others...)
	}
	return others
}

// table has a line for each row.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("|")
	for _, q := range fivequestions.Questions {
		fmt.Fprintf(&b, " | %s: %s", q.Name, q.Text)
	}
	b.WriteString(" |\n|---|" + strings.Repeat("---|", len(fivequestions.Questions)) + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", r.title, strings.Join(r.answers, " | "))
	}
	return b.String()
}

// answersOf asks all questions at once.
func answersOf(c candidate) ([]string, error) {
	answers := make([]string, len(fivequestions.Questions))
	errs := make([]error, len(answers))
	var wg sync.WaitGroup
	for i, q := range fivequestions.Questions {
		wg.Go(func() { answers[i], errs[i] = askElsewhere(c.name + "/" + q.Name) })
	}
	wg.Wait()
	return answers, errors.Join(errs...)
}

// watchdog is for a process that neither answers nor ends, besides the one of each question.
const watchdog = 30 * time.Second

// askElsewhere asks in a process of its own.
func askElsewhere(what string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "-ask", what)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	answer := strings.TrimSpace(string(out))
	switch {
	case ctx.Err() != nil:
		return fivequestions.Hangs, nil
	case err != nil && strings.Contains(stderr.String(), "panic: "):
		return "crashes the process", nil
	case err != nil:
		return "", fmt.Errorf("%s: %w\n%s", what, err, &stderr)
	}
	return answer, nil
}

// askHere asks in this process.
func askHere(what string) string {
	name, question, _ := strings.Cut(what, "/")
	for _, c := range candidates {
		for _, q := range fivequestions.Questions {
			if c.name != name || q.Name != question {
				continue
			}
			cache, stop, err := c.open()
			if errors.Is(err, exec.ErrNotFound) {
				return "not run"
			}
			if err != nil {
				return err.Error()
			}
			defer stop()
			return q.Ask(cache)
		}
	}
	return "no such question"
}

// title is what the row begins with: the module and the version that was asked.
func (c candidate) title() string {
	if c.module == "" {
		return "**" + c.label + "**"
	}
	return report.Name(c.module) + " " + report.Version(c.module)
}
