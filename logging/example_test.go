package logging_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/logging"
)

// The cache_utils logger at debug logs what each call found and did.
func ExampleLogger() {
	logger := logging.Logger()
	logger.SetOutput(os.Stdout)
	logger.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
	logger.SetLevel(logrus.DebugLevel)
	defer logger.SetOutput(os.Stderr)
	defer logger.SetLevel(logrus.WarnLevel)

	Half, _ := decorators.Cached(func(n int) int { return n / 2 }, decorators.Key("half"))
	Half(8)
	Half(8)
	// Output:
	// level=debug msg="Cache MISS: [cached]half((8,))" action=MISS backend=default key="[cached]half((8,))" logger=cache_utils
	// level=debug msg="Cache SET: [cached]half((8,)) - Size: 8" action=SET backend=default key="[cached]half((8,))" logger=cache_utils size=8
	// level=debug msg="Cache HIT: [cached]half((8,))" action=HIT backend=default key="[cached]half((8,))" logger=cache_utils
}

// A log/slog logger that the program has takes the events.
func ExampleSlog() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	logging.SetSink(logging.Slog(slog.New(handler)))
	defer logging.SetSink(nil)

	logging.Log(logging.LevelDebug, logging.Event{Action: logging.ActionHit, Backend: "default", Key: "k"})
	// Output:
	// level=DEBUG msg="Cache HIT: k" logger=cache_utils action=HIT backend=default key=k
}

// counts is a sink that counts what happens to each backend.
type counts map[string]int

func (c counts) Enabled(logging.Level) bool { return true }

func (c counts) Log(level logging.Level, e logging.Event) {
	c[e.Backend+" "+string(e.Action)]++
}

func ExampleSetSink() {
	c := make(counts) // a program with goroutines needs a lock
	logging.SetSink(c)
	defer logging.SetSink(nil)

	Third, _ := decorators.Cached(func(n int) int { return n / 3 }, decorators.Key("third"))
	Third(9)
	Third(9)
	fmt.Println(c)
	// Output: map[default HIT:1 default MISS:1 default SET:1]
}
