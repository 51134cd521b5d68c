package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestAnnotate(t *testing.T) {
	asked := map[string]int{}
	resolve = func(ctx context.Context, ip string) ([]string, error) {
		asked[ip]++
		if ip == "192.0.2.9" {
			return nil, errors.New("no such host")
		}
		return []string{"host" + ip[strings.LastIndex(ip, "."):] + ".example."}, nil
	}
	t.Cleanup(func() { resolve = net.DefaultResolver.LookupAddr })
	before := lookups.Stats()
	var out bytes.Buffer
	err := annotate(t.Context(), strings.NewReader("192.0.2.1 GET /\n192.0.2.2 GET /\n192.0.2.9 GET /\n192.0.2.1 GET /cities\n"), &out)
	want := "host.1.example. 192.0.2.1 GET /\nhost.2.example. 192.0.2.2 GET /\n- 192.0.2.9 GET /\nhost.1.example. 192.0.2.1 GET /cities\n"
	if err != nil || out.String() != want {
		t.Errorf("got %v and\n%swant\n%s", err, out.String(), want)
	}
	if asked["192.0.2.1"] != 1 || lookups.Stats().Hits != before.Hits+1 {
		t.Errorf("asked %v; %+v", asked, lookups.Stats())
	}
	// Without a Key the function is called by its place.
	if name := lookups.Name(); name != "github.com/cacheutils/cacheutils/examples/cli.main.go:24" {
		t.Errorf("the function's name is %s", name)
	}
}
