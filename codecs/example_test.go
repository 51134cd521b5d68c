package codecs_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/cacheutils/cacheutils/codecs"
	"github.com/cacheutils/cacheutils/decorators"
)

// User is as ent generates its entities: with fields that only its package knows.
type User struct {
	config `json:"-"`
	ID     int64  `json:"id"`
	Name   string `json:"name"`
}

type config struct{ driver any }

// The package that declares the type, or one that those import which decorate functions, registers the codec.
var _ = codecs.Register(codecs.JSON(codecs.EqualExported[*User]))

func ExampleRegister() {
	load := func(ctx context.Context, id int64) (*User, error) {
		fmt.Println("loading", id)
		return &User{config{"postgres"}, id, "Ada"}, nil
	}
	LoadUser, _ := decorators.Cached1(load, decorators.Key("user"))
	for range 2 {
		u, err := LoadUser(context.Background(), 7)
		fmt.Println(u.ID, u.Name, err)
	}
	// Output:
	// loading 7
	// 7 Ada <nil>
	// 7 Ada <nil>
}

// Money has no field that is exported.
type Money struct {
	cents    int64
	currency string
}

func ExampleCodec() {
	c := codecs.Codec[Money]{
		Name:   "money 1",
		Encode: func(m Money) ([]byte, error) { return fmt.Appendf(nil, "%d %q", m.cents, m.currency), nil },
		Decode: func(data []byte, _ reflect.Type) (m Money, err error) {
			if _, err := fmt.Sscanf(string(data), "%d %q", &m.cents, &m.currency); err != nil {
				return m, fmt.Errorf("no amount of money: %w", err)
			}
			return m, nil
		},
	}
	price := func(ctx context.Context, budget Money) (Money, error) {
		return Money{budget.cents / 2, budget.currency}, nil
	}
	Price, prices := decorators.Cached1(price, decorators.Key("price"), decorators.Codec(c))
	fmt.Println(Price(context.Background(), Money{1000, "EUR"}))
	fmt.Println(prices.CacheKey(Money{1000, "EUR"}))
	// Output:
	// {500 EUR} <nil>
	// [cached]price((codecs_test.Money('1000\x20"EUR"'),)) <nil>
}

// Session has something that JSON doesn't carry.
type Session struct {
	ID     string
	opened int
}

func ExampleJSON() {
	defer func() {
		_, why, _ := strings.Cut(fmt.Sprint(recover()), "can't be cached: ")
		fmt.Println(why)
	}()
	load := func(ctx context.Context, id string) (*Session, error) { return &Session{id, 1}, nil }
	decorators.Cached1(load, decorators.Key("session"), decorators.Codec(codecs.JSON[*Session](nil)))
	// Output:
	// type *codecs_test.Session: the codec json: it alters *codecs_test.Session.opened; if that doesn't matter, give it an Equal, such as codecs.EqualExported; or say Shared() and use a backend in this process's memory
}

func ExampleEqualExported() {
	a, b := &User{config{"postgres"}, 7, "Ada"}, &User{config{nil}, 7, "Ada"}
	fmt.Println(codecs.EqualExported(a, b))
	b.Name = "Grace"
	fmt.Println(codecs.EqualExported(a, b))
	// Output:
	// true
	// false
}
