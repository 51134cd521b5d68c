//go:build linux

package faults_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A server that is set up in a strange way changes no result, keeps no caller, and has no older value after an
// Invalidate that returned nil.
func TestFault_StrangeSettings(t *testing.T) {
	for name, args := range map[string][]string{
		"few connections":        {"-c", "40"},
		"few, and others wait":   {"-c", "40", "-o", "no_maxconns_fast"},
		"full":                   {"-m", "1", "-M", "-I", "512k"},
		"one request an event":   {"-R", "1"},
		"idle connections close": {"-o", "idle_timeout=1"},
		"no flush_all":           {"-F"},
		"one thread, no backlog": {"-t", "1", "-b", "1"},
		"many kinds of slabs":    {"-n", "1", "-f", "1.05"},
	} {
		t.Run(name, func(t *testing.T) {
			server := memcachedtest.Start(t, args...)
			c := configure(t, map[string]any{"probe_interval": "50ms"}, server.Addr())
			version := func(n int) string { return fmt.Sprint(n, strings.Repeat("x", 1<<(n%16))) }
			current := 0
			F, f := decorators.Cached1(func(_ context.Context, n int) (string, error) { return version(n + current), nil }, decorators.Key(t.Name()))
			began := time.Now()
			wrong := make([]int, 32)
			for current = range 6 {
				promised := make([]bool, 100)
				for n := range promised {
					promised[n] = current == 0 || f.Invalidate(ctx, n) == nil
				}
				together(len(wrong), func(i int) {
					for n := range promised {
						v, err := F(ctx, n)
						if err != nil || promised[n] && v != version(n+current) {
							wrong[i]++
						}
					}
				})
			}
			sum := 0
			for _, n := range wrong {
				sum += n
			}
			exactly(t, name+": errors and outdated values", 0, sum, notRun)
			within(t, name+": 19,200 calls", 6*time.Second, time.Since(began), notRun)
			s := f.Stats()
			t.Logf("%+v; %v", s, c.Servers()[0].Errors)
			if err := c.Servers()[0].LastError; err != nil {
				t.Log(err)
			}
		})
	}
}
