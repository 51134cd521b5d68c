package cachekey

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// Arguments of any type are refused, or their keys are exact: those with locks, contexts and texts that hide a part, too.

type (
	// live guards itself, and is used by another goroutine while keys are made.
	live struct {
		seen map[int]int
		mu   sync.Mutex
	}
	liveText struct{ level atomic.Int64 }
	ownCtx   struct {
		context.Context
		user string
	}
	masked   string
	redacted string
	lowered  string
	truncate struct{ at time.Time }
)

func (l *live) String() string { return "live" }

func (l *liveText) MarshalText() ([]byte, error) { return []byte{byte('a' + l.level.Load())}, nil }
func (l *liveText) UnmarshalText(b []byte) error { l.level.Store(int64(b[0] - 'a')); return nil }
func (masked) MarshalText() ([]byte, error)      { return []byte("[REDACTED]"), nil }
func (redacted) MarshalText() ([]byte, error)    { return []byte("[REDACTED]"), nil }
func (r *redacted) UnmarshalText(b []byte) error { *r = redacted(b); return nil }
func (l lowered) MarshalText() ([]byte, error)   { return []byte(strings.ToLower(string(l))), nil }
func (l *lowered) UnmarshalText(b []byte) error  { *l = lowered(b); return nil }
func (x truncate) MarshalText() ([]byte, error) {
	return x.at.UTC().Truncate(time.Hour).MarshalText()
}
func (x *truncate) UnmarshalText(b []byte) error { return x.at.UnmarshalText(b) }

var (
	// refusedTypes can't be in a key at all.
	refusedTypes = []reflect.Type{
		reflect.TypeFor[sync.Mutex](), reflect.TypeFor[sync.RWMutex](), reflect.TypeFor[sync.Once](), reflect.TypeFor[sync.WaitGroup](),
		reflect.TypeFor[sync.Map](), reflect.TypeFor[sync.Pool](), reflect.TypeFor[sync.Cond](), reflect.TypeFor[sync.Locker](),
		reflect.TypeFor[atomic.Bool](), reflect.TypeFor[atomic.Int32](), reflect.TypeFor[atomic.Uint64](), reflect.TypeFor[atomic.Value](),
		reflect.TypeFor[atomic.Pointer[city]](), reflect.TypeFor[live](), reflect.TypeFor[liveText](),
		reflect.TypeFor[context.Context](), reflect.TypeFor[ownCtx](), reflect.TypeFor[masked](), reflect.TypeFor[chan int](), reflect.TypeFor[func()](),
	}
	// lossyTypes have values that can't.
	lossyTypes = []reflect.Type{reflect.TypeFor[redacted](), reflect.TypeFor[lowered](), reflect.TypeFor[truncate]()}

	theLive     = &live{seen: map[int]int{}}
	theLiveText = &liveText{}
)

// hardType returns a type that may have parts which can't be in a key.
func hardType(s source, depth int) reflect.Type {
	switch kind := s.intn(12); {
	case kind == 0:
		return refusedTypes[s.intn(len(refusedTypes))]
	case kind == 1:
		return lossyTypes[s.intn(len(lossyTypes))]
	case kind < 5 || depth <= 0:
		return someTypes[s.intn(len(someTypes))]
	case kind == 5:
		return reflect.SliceOf(hardType(s, depth-1))
	case kind == 6:
		return reflect.ArrayOf(1+s.intn(2), hardType(s, depth-1))
	case kind < 9:
		return reflect.PointerTo(hardType(s, depth-1))
	case kind == 9:
		if key := hardType(s, depth-1); key.Comparable() {
			return reflect.MapOf(key, hardType(s, depth-1))
		}
	}
	return reflect.StructOf([]reflect.StructField{{Name: "A", Type: hardType(s, depth-1)}, {Name: "B", Type: hardType(s, depth-1)}})
}

// isRefused reports whether t has a part, by pointers too, that can't be in a key. It is written without the package
// under test.
func isRefused(t reflect.Type) bool {
	for _, refused := range refusedTypes {
		if t == refused {
			return true
		}
	}
	if t.Implements(reflect.TypeFor[Keyer]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[Keyer]()) || t.ConvertibleTo(reflect.TypeFor[time.Time]()) {
		return false
	}
	for _, lossy := range lossyTypes {
		if t == lossy {
			return false
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return t != reflect.TypeFor[list]() && isRefused(t.Elem())
	case reflect.Map:
		return isRefused(t.Key()) || isRefused(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i).Type; f.String() != "big.nat" && isRefused(f) {
				return true
			}
		}
	}
	return false
}

// fillHard sets v. What interfaces hold may be refused, or live.
func fillHard(s source, v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[redacted](), reflect.TypeFor[lowered]():
		v.SetString([]string{"[REDACTED]", "alice", "bob", "ALICE"}[s.intn(4)])
		return
	case reflect.TypeFor[truncate]():
		settable(v.Field(0)).Set(reflect.ValueOf(time.Unix(int64(s.intn(3))*1800, 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.NumMethod() > 0 || s.intn(3) > 0 {
			fill(s, v, depth)
			return
		}
		held := []any{theLive, theLiveText, &ownCtx{}, context.Background(), masked("a"), &theLive.mu, []any{1, theLive}, map[string]any{"x": theLive}, struct{ x any }{theLive}}
		if i := s.intn(len(held) + 1); i < len(held) {
			v.Set(reflect.ValueOf(held[i]))
			return
		}
		x := reflect.New(hardType(s, min(depth, 2))).Elem()
		if !isRefused(x.Type()) {
			fillHard(s, x, depth-1)
		}
		v.Set(x)
	case reflect.Pointer:
		if s.intn(3) > 0 && depth > 0 {
			p := reflect.New(v.Type().Elem())
			fillHard(s, p.Elem(), depth-1)
			v.Set(p)
		}
	case reflect.Slice:
		if n := s.intn(3); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), size(n-1, depth), size(n-1, depth)))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fillHard(s, v.Index(i), depth-1)
		}
	case reflect.Map:
		if n := s.intn(4); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range size(n-1, depth) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fillHard(s, key, depth-1)
				fillHard(s, value, depth-1)
				put(v, key, value)
			}
		}
	case reflect.Struct:
		if v.Type().Name() != "" {
			fill(s, v, depth)
			return
		}
		for i := range v.NumField() {
			fillHard(s, settable(v.Field(i)), depth-1)
		}
	default:
		fill(s, v, depth)
	}
}

// refusedOrExact has two values of one type that are refused, or have keys that are equal if they are.
func refusedOrExact(t interface{ Fatalf(string, ...any) }, s source) {
	typ := hardType(s, 3)
	e, err := keyenc.EncoderOf(typ, nil)
	if isRefused(typ) != (err != nil) || err != nil && !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Fatalf("the type %s: %v", typ, err)
	}
	if err != nil {
		return
	}
	a, b := reflect.New(typ).Elem(), reflect.New(typ).Elem()
	fillHard(s, a, 3)
	fillHard(s, b, 3)
	x, errA := e.Append(nil, a)
	y, errB := e.Append(nil, b)
	for _, err := range []error{errA, errB} {
		if err != nil && !errors.Is(err, cacheutils.ErrInvalidKey) {
			t.Fatalf("%s: %v", typ, err)
		}
	}
	if errA != nil || errB != nil {
		return
	}
	if eq := same(a, b); eq != (string(x) == string(y)) {
		t.Fatalf("same %t, but the keys are\n%s\n%s", eq, x, y)
	}
	if again, err := e.Append(nil, a); err != nil || string(again) != string(x) {
		t.Fatalf("once more: %s, %v, want %s", again, err, x)
	}
	// A copy has the key, and shares nothing that would change it.
	c := reflect.New(typ).Elem()
	c.Set(a)
	if e.Own(c.Addr().UnsafePointer()); !same(a, c) {
		t.Fatalf("a copy of %#v is %#v", a, c)
	}
	if again, err := e.Append(nil, c); err != nil || string(again) != string(x) {
		t.Fatalf("a copy: %s, %v, want %s", again, err, x)
	}
}

// useLive uses what guards itself until the test has ended.
func useLive(t testing.TB) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				theLive.mu.Lock()
				theLive.seen[i%100]++
				theLive.mu.Unlock()
				theLiveText.level.Add(1)
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

func TestLaw3_RefusedOrExact(t *testing.T) {
	useLive(t)
	rapid.Check(t, func(t *rapid.T) { refusedOrExact(t, rapidSource{t}) })
}

func FuzzRefusedOrExact(f *testing.F) {
	useLive(f)
	f.Add([]byte{0, 1})
	f.Add([]byte{1, 0, 0, 1})
	f.Add([]byte("a type with locks, contexts and texts"))
	f.Add([]byte{5, 2, 1, 3, 2, 0, 0, 2, 0, 0, 1})
	f.Add([]byte{10, 7, 1, 1, 9, 1, 0, 2, 3, 1, 2, 1, 1, 1, 0, 2, 2})
	f.Add([]byte{2, 2, 0, 6, 2, 0, 7})
	f.Fuzz(func(t *testing.T, choices []byte) { refusedOrExact(t, &bytesSource{choices}) })
}
