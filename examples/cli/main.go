// Command cli reads lines that begin with an IP address, an access log for instance, and puts the host's name before
// each. Every address is looked up once. What a command remembers for as long as it runs needs no settings and no Key:
//
//	go run -C examples ./cli < access.log
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
)

var resolve = net.DefaultResolver.LookupAddr // which tests replace

var hosts, lookups = decorators.Cached1(
	func(ctx context.Context, ip string) ([]string, error) { return resolve(ctx, ip) },
	decorators.Timeout(cacheutils.Forever))

func main() {
	if err := annotate(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
	s := lookups.Stats()
	fmt.Fprintf(os.Stderr, "%d addresses were looked up, %d were known\n", s.Computations, s.Hits)
}

// annotate copies the lines of in to out, with a host's name before each.
func annotate(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		ip, _, _ := strings.Cut(lines.Text(), " ")
		host := "-"
		if names, err := hosts(ctx, ip); err == nil && len(names) > 0 {
			host = names[0]
		}
		if _, err := fmt.Fprintln(out, host, lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}
