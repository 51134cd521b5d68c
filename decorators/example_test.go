package decorators_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

func ExampleCached() {
	square := func(n int) int {
		fmt.Println("computing")
		return n * n
	}
	Square, squares := decorators.Cached(square, decorators.Key("square"))

	fmt.Println(Square(12))
	fmt.Println(Square(12))
	fmt.Println(squares.CacheKey(12))
	// Output:
	// computing
	// 144
	// 144
	// [cached]square((12,)) <nil>
}

// A trailing error is returned and not cached.
func ExampleCached_error() {
	tries := 0
	dial := func(ctx context.Context, host string) (string, error) {
		if tries++; tries == 1 {
			return "", errors.New("refused")
		}
		return host + " is up", nil
	}
	Dial, _ := decorators.Cached(dial, decorators.Key("dial"))
	ctx := context.Background()

	fmt.Println(Dial(ctx, "a"))
	fmt.Println(Dial(ctx, "a"))
	fmt.Println(Dial(ctx, "a"))
	fmt.Println("tries:", tries)
	// Output:
	//  refused
	// a is up <nil>
	// a is up <nil>
	// tries: 2
}

// Without a Timeout it is the backend's. With zero nothing is stored.
func ExampleTimeout() {
	runs := 0
	count := func() int { runs++; return runs }
	Hourly, _ := decorators.Cached(count, decorators.Key("hourly"), decorators.Timeout(time.Hour))
	Never, _ := decorators.Cached(count, decorators.Key("never"), decorators.Timeout(0))

	fmt.Println(Hourly(), Hourly(), Hourly())
	fmt.Println(Never(), Never(), Never())
	// Output:
	// 1 1 1
	// 2 3 4
}

// A token is kept until shortly before it expires.
func ExampleTimeoutOf() {
	type Token struct {
		Text    string
		Expires time.Time
	}
	runs := 0
	login := func(user string) (Token, error) {
		runs++
		return Token{"secret", time.Now().Add(time.Hour)}, nil
	}
	Login, _ := decorators.Cached(login, decorators.Key("login"),
		decorators.TimeoutOf(func(t Token) time.Duration { return time.Until(t.Expires) - time.Minute }))

	Login("ann")
	Login("ann")
	fmt.Println("runs:", runs)
	// Output: runs: 1
}

// Entries stored in one moment expire over six minutes, not in one moment.
func ExampleJitter() {
	price := func(item int) float64 { return 9.99 }
	Price, prices := decorators.Cached(price, decorators.Key("price"),
		decorators.Timeout(time.Hour), decorators.Jitter(0.1))

	fmt.Println(Price(1), Price(1), prices.Stats().Hits)
	// Output: 9.99 9.99 1
}

// Functions with different needs use different backends.
func ExampleBackend() {
	err := backends.Configure(backends.Config{
		"short": {Backend: "locmem", Location: []string{"short"}, Timeout: time.Second},
	})
	if err != nil {
		log.Print(err)
	}
	defer backends.Configure(nil)

	Rate, rates := decorators.Cached(func(pair string) float64 { return 1.25 },
		decorators.Key("rate"), decorators.Backend("short"))
	fmt.Println(Rate("eur/usd"), Rate("eur/usd"), rates.Stats().Hits)
	// Output: 1.25 1.25 1
}

// Without Key a function's name is its package, name and line, and entries are lost when a
// line is added above it.
func ExampleKey() {
	_, greetings := decorators.Cached(func(name string) string { return "hello " + name },
		decorators.Key("greeting"))

	fmt.Println(greetings.Name())
	fmt.Println(greetings.CacheKey("ann"))
	// Output:
	// greeting
	// [cached]greeting(('ann',)) <nil>
}

// The function reads who asks from its context: each user has results of their own.
func ExampleContextKey() {
	type user struct{} // the key of the context's value
	userOf := func(ctx context.Context) string {
		name, _ := ctx.Value(user{}).(string)
		return name
	}
	Orders, orders := decorators.Cached(func(ctx context.Context, year int) string {
		return fmt.Sprintf("%s's orders of %d", userOf(ctx), year)
	}, decorators.Key("orders"), decorators.ContextKey(userOf))

	alice := context.WithValue(context.Background(), user{}, "alice")
	bob := context.WithValue(context.Background(), user{}, "bob")
	fmt.Println(Orders(alice, 2026))
	fmt.Println(Orders(bob, 2026))
	fmt.Println(orders.CacheKey(bob, 2026))
	// Output:
	// alice's orders of 2026
	// bob's orders of 2026
	// [cached]orders((2026,)@('bob',)) <nil>
}

// The function reads its logger from its context. Its results don't depend on it, so there is no warning.
func ExampleIgnoreContext() {
	type logger struct{} // the key of the context's value
	Square, _ := decorators.Cached(func(ctx context.Context, n int) int {
		if l, ok := ctx.Value(logger{}).(*log.Logger); ok {
			l.Print("square ", n)
		}
		return n * n
	}, decorators.Key("square"), decorators.IgnoreContext[logger]())

	ctx := context.WithValue(context.Background(), logger{}, log.New(os.Stdout, "", 0))
	fmt.Println(Square(ctx, 7))
	fmt.Println(Square(ctx, 7))
	// Output:
	// square 7
	// 49
	// 49
}

// The e-mail address is not in the key for the cache's operator to read.
func ExampleHashed() {
	_, accounts := decorators.Cached(func(email string) int { return 1 },
		decorators.Key("account"), decorators.Hashed())

	fmt.Println(accounts.CacheKey("ann@example.com"))
	// Output: d3c5fbf969556aadaab3b12d3771ee80d5a96ce0627a0ad36065e14568cae46e <nil>
}

type User struct {
	ID        int
	Name      string
	LastVisit time.Time
}

// The user's last visit changes at each request and doesn't change the greeting.
func ExampleObjectAttrs() {
	greet := func(u User, lang string) string { return "ciao " + u.Name }
	Greet, greetings := decorators.Cached(greet, decorators.Key("greet"),
		decorators.ObjectAttrs(User{}, "ID", "Name"))

	Greet(User{1, "Ann", time.Now()}, "it")
	Greet(User{1, "Ann", time.Now().Add(time.Minute)}, "it")
	fmt.Println("hits:", greetings.Stats().Hits)
	fmt.Println(greetings.CacheKey(User{ID: 1, Name: "Ann"}, "it"))
	// Output:
	// hits: 1
	// [cached]greet((User{ID=1,Name='Ann'},'it')) <nil>
}

// Upper and lower case find the same domain.
func ExampleKeyOf() {
	resolve := func(ctx context.Context, domain string) (string, error) { return "192.0.2.1", nil }
	_, addresses := decorators.Cached(resolve, decorators.Key("resolve"),
		decorators.KeyOf(func(ctx context.Context, domain string) string { return strings.ToLower(domain) }))

	fmt.Println(addresses.CacheKey(context.Background(), "Example.COM"))
	// Output: [cached]resolve(('example.com',)) <nil>
}

// What a query returns depends on its arguments, not on the handle that it is made with.
func ExampleIgnore() {
	userName := func(ctx context.Context, db *sql.DB, id int) (string, error) { return "ann", nil }
	UserName, names := decorators.Cached(userName, decorators.Key("user-name"),
		decorators.Ignore[*sql.DB]())

	var db *sql.DB
	fmt.Println(UserName(context.Background(), db, 1))
	fmt.Println(names.Name())
	// Output:
	// ann <nil>
	// user-name
}

func (u User) Badge(size int) string { return fmt.Sprint(u.Name, " ", size) }

// The receiver of a method expression doesn't count in the key unless WithReceiver says so.
func ExampleWithReceiver() {
	_, shared := decorators.Cached(User.Badge, decorators.Key("badge"))
	_, own := decorators.Cached(User.Badge, decorators.Key("badge"), decorators.WithReceiver())

	ann := User{ID: 1, Name: "Ann"}
	fmt.Println(shared.CacheKey(ann, 32))
	fmt.Println(own.CacheKey(ann, 32))
	// Output:
	// [cached]badge((32,)) <nil>
	// [cached]badge((User{ID=1,Name='Ann',LastVisit=time.Time('0001-01-01T00:00:00Z')},32)) <nil>
}

// A nil result, that there is no such user, is cached, too.
func ExampleCacheNil() {
	runs := 0
	find := func(name string) (*User, error) {
		runs++
		return nil, nil
	}
	Find, _ := decorators.Cached(find, decorators.Key("find"), decorators.CacheNil())

	Find("nobody")
	Find("nobody")
	fmt.Println("runs:", runs)
	// Output: runs: 1
}

// A search without results is tried again at the next call.
func ExampleUnless() {
	runs := 0
	search := func(text string) []string {
		runs++
		return []string{}
	}
	Search, _ := decorators.Cached(search, decorators.Key("search"),
		decorators.Unless(func(found []string) bool { return len(found) == 0 }))

	Search("x")
	Search("x")
	fmt.Println("runs:", runs)
	// Output: runs: 2
}

// A large table that nobody changes is handed out as it is, without a copy for each caller.
func ExampleShared() {
	primes := func(below int) map[int]bool { return map[int]bool{2: true, 3: true} }
	Primes, _ := decorators.Cached(primes, decorators.Key("primes"), decorators.Shared())

	fmt.Println(len(Primes(5)), len(Primes(5)))
	// Output: 2 2
}

func ExampleHandle_Invalidate() {
	version := 1
	page := func(ctx context.Context, path string) (string, error) {
		return fmt.Sprintf("%s, version %d", path, version), nil
	}
	Page, pages := decorators.Cached(page, decorators.Key("page"))
	ctx := context.Background()

	fmt.Println(Page(ctx, "/home"))
	version = 2
	fmt.Println(Page(ctx, "/home"))
	fmt.Println(pages.Invalidate(ctx, "/home"))
	fmt.Println(Page(ctx, "/home"))
	// Output:
	// /home, version 1 <nil>
	// /home, version 1 <nil>
	// <nil>
	// /home, version 2 <nil>
}

// Arguments that don't fit the function are an error.
func ExampleHandle_Invalidate_wrongArguments() {
	_, pages := decorators.Cached(func(ctx context.Context, path string) string { return path },
		decorators.Key("any-page"))

	err := pages.Invalidate("/home")
	fmt.Println(err)
	fmt.Println(errors.Is(err, cacheutils.ErrArguments))
	// Output:
	// cacheutils: wrong arguments: any-page takes (context.Context, string), got (string)
	// true
}

// Constants may be given for any number or string type, as in a call.
func ExampleHandle_CacheKey() {
	_, cities := decorators.Cached(func(ctx context.Context, id int64, lang string) (string, error) { return "", nil },
		decorators.Key("city"))

	fmt.Println(cities.CacheKey(context.Background(), 42, "it"))
	// Output: [cached]city((42,'it')) <nil>
}

// A caller that knows the result already can store it.
func ExampleHandle_Set() {
	Total, totals := decorators.Cached(func(order int) (float64, error) { return 0, errors.New("not reached") },
		decorators.Key("total"))

	fmt.Println(totals.Set([]any{7}, 99.5))
	fmt.Println(Total(7))
	// Output:
	// <nil>
	// 99.5 <nil>
}

func ExampleHandle_Name() {
	_, a := decorators.Cached(func(x int) int { return x }, decorators.Key("identity"))
	fmt.Println(a.Name())
	// Output: identity
}

func ExampleHandle_Stats() {
	Double, doubles := decorators.Cached(func(n int) int { return 2 * n }, decorators.Key("double"))
	Double(1)
	Double(1)
	Double(2)

	s := doubles.Stats()
	fmt.Printf("%d hits, %d misses, %d computations", s.Hits, s.Misses, s.Computations)
	// Output: 1 hits, 2 misses, 2 computations
}

// ForceRecalc stores what it computes, so that later calls get it.
func ExampleHandle_ForceRecalc() {
	n := 0
	Next, numbers := decorators.Cached(func() int { n++; return n }, decorators.Key("next"))

	fmt.Println(Next(), Next())
	fmt.Println(numbers.ForceRecalc())
	fmt.Println(Next())
	// Output:
	// 1 1
	// 2
	// 2
}

func ExampleHandle_RequireCache() {
	Area, areas := decorators.Cached(func(r int) (int, error) { return r * r, nil }, decorators.Key("area"))

	_, err := areas.RequireCache(3)
	fmt.Println(errors.Is(err, cacheutils.ErrNoCachedValue))
	Area(3)
	fmt.Println(areas.RequireCache(3))
	// Output:
	// true
	// 9 <nil>
}

// Original bypasses the cache: it neither reads nor stores.
func ExampleHandle_Original() {
	runs := 0
	_, counts := decorators.Cached(func() int { runs++; return runs }, decorators.Key("count"))

	fmt.Println(counts.Original(), counts.Original())
	// Output: 1 2
}
