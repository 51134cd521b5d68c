//go:build linux

package faults_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A fourth server in addition to three that have 2000 values: at least 70 % are still found. Three servers in
// another order: all are.
func TestFault_GrownList(t *testing.T) {
	const keys = 2000
	var addrs []string
	for range 4 {
		addrs = append(addrs, memcachedtest.Start(t).Addr())
	}
	three := addrs[:3]
	c := configure(t, nil, three...)
	client := newRaw(t, three...)
	for n := range keys {
		if err := c.Set(ctx, fmt.Sprint("k", n), n); err != nil {
			t.Fatal(err)
		}
		if err := client.Set(&memcache.Item{Key: fmt.Sprint("r", n), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	moved := func(to ...string) (ours, raws int) {
		c, client := configure(t, nil, to...), newRaw(t, to...)
		for n := range keys {
			got := -1
			if c.Get(ctx, fmt.Sprint("k", n), &got) != nil || got != n {
				ours++
			}
			if _, err := client.Get(fmt.Sprint("r", n)); err != nil {
				raws++
			}
		}
		return ours, raws
	}
	reordered := []string{three[2], three[0], three[1]}
	ours, raws := moved(reordered...)
	exactly(t, "servers in another order: values of 2000 not found", 0, ours, raws)
	ours, raws = moved(addrs...)
	atMost(t, "3 servers, then 4: values of 2000 not found", keys*30/100, ours, raws)
}

// Keys that move, and how even the servers' shares are, for lists of servers that aren't there:
// the error of a Get names the server that was to have the key.
func TestFault_Spread(t *testing.T) {
	list := func(from, to int) (addrs []string) {
		for i := from; i < to; i++ {
			addrs = append(addrs, fmt.Sprintf("unix:/nowhere/server%d", i))
		}
		return addrs
	}
	ten := list(0, 10)
	middleless := slices.Concat(ten[:4], ten[5:])
	reversed := slices.Clone(ten)
	slices.Reverse(reversed)
	for _, test := range []struct {
		name     string
		from, to []string
		percent  int
	}{
		{"3 servers, then 4", list(0, 3), list(0, 4), 30},
		{"10 servers, then 11", ten, list(0, 11), 12},
		{"10 servers, then without one in the middle", ten, middleless, 12},
		{"10 servers, then reversed", ten, reversed, 0},
	} {
		before, after := places(t, test.from), places(t, test.to)
		rawBefore, rawAfter := rawPlaces(t, test.from), rawPlaces(t, test.to)
		moved := different(before, after)
		atMost(t, fmt.Sprintf("%s: keys of %d that move", test.name, len(before)), len(before)*test.percent/100, moved,
			different(rawBefore, rawAfter))
		for _, spread := range [][]string{before, after} {
			uneven := unevenness(spread)
			figure(t, test.name+": largest deviation of a server's share", "<= 15 %", fmt.Sprintf("%.1f %%", uneven), notRun)
			if uneven > 15 {
				t.Errorf("%s: a server's share is %.1f %% off", test.name, uneven)
			}
		}
	}
}

func spreadKey(n int) string { return fmt.Sprint("user:", n) }

var inError = regexp.MustCompile(`get on memcached (\S+): `)

// places returns the server of each key.
func places(t *testing.T, addrs []string) []string {
	t.Helper()
	c := configure(t, nil, addrs...)
	all := make([]string, pick(10_000, 200_000))
	for n := range all {
		err := c.Get(ctx, spreadKey(n), new(string))
		server := inError.FindStringSubmatch(fmt.Sprint(err))
		if server == nil {
			t.Fatalf("an error that doesn't name the server: %v", err)
		}
		all[n] = server[1]
	}
	return all
}

// rawPlaces returns gomemcache's, for as many servers at addresses that it takes.
func rawPlaces(t *testing.T, addrs []string) []string {
	t.Helper()
	tcp := make([]string, len(addrs))
	for i, addr := range addrs {
		tcp[i] = regexp.MustCompile(`\D+`).ReplaceAllString(addr, "127.0.0.1:10")
	}
	var list memcache.ServerList
	if err := list.SetServers(tcp...); err != nil {
		t.Fatal(err)
	}
	all := make([]string, pick(10_000, 200_000))
	for n := range all {
		addr, err := list.PickServer(spreadKey(n))
		if err != nil {
			t.Fatal(err)
		}
		all[n] = addr.String()
	}
	return all
}

func different(a, b []string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// unevenness returns by how many percent of an even share a server's share is off, at most.
func unevenness(places []string) float64 {
	shares := map[string]int{}
	for _, server := range places {
		shares[server]++
	}
	even, worst := float64(len(places))/float64(len(shares)), 0.0
	for _, share := range shares {
		worst = max(worst, float64(share)-even, even-float64(share))
	}
	return worst / even * 100
}
