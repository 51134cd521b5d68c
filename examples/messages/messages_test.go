package messages_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/messages"
	"github.com/cacheutils/cacheutils/examples/messages/citypb"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// names are a Database that counts how often it was asked.
type names struct {
	rows  map[string]string
	asked int
}

func row(id int64, lang string) string { return fmt.Sprint(id, lang) }

func (n *names) Name(ctx context.Context, id int64, lang string) (string, error) {
	n.asked++
	return n.rows[row(id, lang)], nil
}

func (n *names) Rename(ctx context.Context, id int64, lang, name string) error {
	n.rows[row(id, lang)] = name
	return nil
}

func Example() {
	ctx := context.Background()
	server := messages.NewServer(&names{rows: map[string]string{row(42, "en"): "Rome"}})
	city, err := server.GetCity(ctx, &citypb.GetCityRequest{Id: 42, Lang: "en"})
	fmt.Println(city.GetName(), err)
	city, err = server.RenameCity(ctx, &citypb.RenameCityRequest{Id: 42, Lang: "en", Name: "Roma"})
	fmt.Println(city.GetName(), err)
	// Output:
	// Rome <nil>
	// Roma <nil>
}

func TestServer(t *testing.T) {
	shared, err := backends.New(backends.Config{"default": {
		Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()},
		Options: map[string]any{"operation_timeout": "5s"}, // a busy machine is not a fault
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	for backend, set := range map[string]*backends.Caches{"locmem": cachetest.New(t), "memcached": shared} {
		t.Run(backend, func(t *testing.T) {
			db := &names{rows: map[string]string{row(42, "en"): "Rome", row(42, "it"): "Roma"}}
			server := messages.NewServer(db, decorators.On(set))
			get := func(lang string) *citypb.City {
				t.Helper()
				city, err := server.GetCity(t.Context(), &citypb.GetCityRequest{Id: 42, Lang: lang})
				if err != nil {
					t.Fatal(err)
				}
				return city
			}
			want := &citypb.City{Id: 42, Name: "Rome", Tags: []string{"sea"}}
			for range 3 {
				got := get("en")
				if !proto.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				got.Tags[0] = "changed by a caller"
			}
			if get("it").GetName() != "Roma" || db.asked != 2 {
				t.Errorf("asked %d times, want once for each language", db.asked)
			}
			renamed, err := server.RenameCity(t.Context(), &citypb.RenameCityRequest{Id: 42, Lang: "en", Name: "Caput Mundi"})
			if err != nil || renamed.GetName() != "Caput Mundi" || get("it").GetName() != "Roma" || db.asked != 3 {
				t.Errorf("after a rename: got %v, %v, asked %d times", renamed, err, db.asked)
			}
		})
	}
}
