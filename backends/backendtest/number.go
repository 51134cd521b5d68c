package backendtest

import (
	"math"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testNumbers is about counting. Numbers below 0 are only stored and read: not every store
// can count there.
func (s *suite) testNumbers(t *testing.T) {
	t.Run("IncrAndDecr", s.incrAndDecr)
	t.Run("AnyWriter", s.anyWriter)
	t.Run("NegativeDelta", s.negativeDelta)
	t.Run("MissingNumber", s.missingNumber)
	t.Run("NotANumber", s.notANumber)
	t.Run("IncrIsAtomic", s.incrIsAtomic)
	t.Run("FewerDigits", s.fewerDigits)
	t.Run("UncountableNumbers", s.uncountableNumbers)
	t.Run("VariableTooSmall", s.variableTooSmall)
	t.Run("BeyondTheType", s.beyondTheType)
}

func (s *suite) incrAndDecr(t *testing.T) {
	c := s.only(t)
	c.set("n", 41)
	c.is(42)(c.Incr(ctx, "n", 1))
	c.holds("n", 42)
	c.is(52)(c.Incr(ctx, "n", 10))
	c.is(52)(c.Incr(ctx, "n", 0))
	c.holds("n", 52)
	c.is(51)(c.Decr(ctx, "n", 1))
	c.is(11)(c.Decr(ctx, "n", 40))
	c.holds("n", 11)
	c.holds("n", uint8(11))
	c.holds("n", int64(11))
	got := map[string]any{}
	c.ok(c.GetMany(ctx, []string{"n"}, got))
	c.same("GetMany", map[string]any{"n": 11}, got)
	c.is(0)(c.Decr(ctx, "n", 11))
	c.holds("n", 0)
}

func (s *suite) anyWriter(t *testing.T) {
	c := s.only(t)
	c.yes(c.Add(ctx, "added", uint16(1)))
	c.is(2)(c.Incr(ctx, "added", 1))
	c.setMany(map[string]any{"many": 1, "large": int64(math.MaxInt64 - 1)})
	c.is(2)(c.Incr(ctx, "many", 1))
	c.is(math.MaxInt64)(c.Incr(ctx, "large", 1))
	c.holds("large", int64(math.MaxInt64))
}

func (s *suite) negativeDelta(t *testing.T) {
	c := s.only(t)
	c.set("n", 30)
	c.is(20)(c.Incr(ctx, "n", -10))
	c.is(25)(c.Decr(ctx, "n", -5))
	c.holds("n", 25)
}

func (s *suite) missingNumber(t *testing.T) {
	c := s.only(t)
	for _, delta := range []int64{1, -1, 0} {
		_, err := c.Incr(ctx, "nothing", delta)
		c.fails(err, cacheutils.ErrCacheMiss)
		_, err = c.Decr(ctx, "nothing", delta)
		c.fails(err, cacheutils.ErrCacheMiss)
	}
	c.misses("nothing")
}

func (s *suite) notANumber(t *testing.T) {
	c := s.only(t)
	for name, value := range map[string]any{
		"nil": nil, "text": "a", "digits": "5", "empty": "", "list": []int{1}, "float": 1.5, "bool": true,
		"struct": struct{ N int }{1},
	} {
		c.set(name, value)
		_, err := c.Incr(ctx, name, 1)
		c.fails(err, cacheutils.ErrNotNumber)
		_, err = c.Decr(ctx, name, 1)
		c.fails(err, cacheutils.ErrNotNumber)
		c.holds(name, value)
	}
}

func (s *suite) incrIsAtomic(t *testing.T) {
	c := s.only(t)
	c.set("n", 0)
	const goroutines, each = 16, 50
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				if _, err := c.Incr(ctx, "n", 3); err != nil {
					t.Error(err)
				}
				if _, err := c.Decr(ctx, "n", 2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c.holds("n", goroutines*each)
}

func (s *suite) fewerDigits(t *testing.T) {
	c := s.only(t)
	c.set("n", 1000)
	c.is(9)(c.Decr(ctx, "n", 991))
	c.holds("n", 9)
	c.holds("n", uint64(9))
	var got any
	c.ok(c.Get(ctx, "n", &got))
	c.same("into an any", 9, got)
	c.is(10)(c.Incr(ctx, "n", 1))
	c.holds("n", 10)
}

func (s *suite) uncountableNumbers(t *testing.T) {
	c := s.only(t)
	for _, n := range []int64{-1, math.MinInt64} {
		c.set("n", n)
		c.holds("n", n)
	}
	c.yes(c.Add(ctx, "added", int8(-128)))
	c.holds("added", int8(-128))
	var got any
	c.set("n", uint64(math.MaxUint64))
	c.ok(c.Get(ctx, "n", &got))
	c.same("the largest number in an any", uint64(math.MaxUint64), got)
}

func (s *suite) variableTooSmall(t *testing.T) {
	c := s.only(t)
	c.set("n", 300)
	small := uint8(7)
	c.fails(c.Get(ctx, "n", &small), cacheutils.ErrUndecodable)
	c.same("the variable", uint8(7), small)
	c.set("n", -1, backends.Timeout(cacheutils.Forever))
	c.fails(c.Get(ctx, "n", &small), cacheutils.ErrUndecodable)
}

// A number that Incr has made larger than its type can hold is read into the variables that can hold it, an any too.
func (s *suite) beyondTheType(t *testing.T) {
	c := s.only(t)
	for name, opts := range map[string][]backends.Option{"plain": nil, "in a group": {backends.Group("numbers")}} {
		for _, test := range []struct {
			stored, tooSmall any
			sum              int64
		}{
			{int8(120), new(int8), 130},
			{uint8(250), new(uint8), 260},
			{int16(math.MaxInt16), new(int16), math.MaxInt16 + 10},
			{uint16(math.MaxUint16), new(uint16), math.MaxUint16 + 10},
			{int32(math.MaxInt32), new(int32), math.MaxInt32 + 10},
			{uint32(math.MaxUint32), new(uint32), math.MaxUint32 + 10},
		} {
			c.ok(c.Set(ctx, "n", test.stored, opts...))
			c.is(test.sum)(c.Incr(ctx, "n", 10, opts...))
			var number int64
			c.ok(c.Get(ctx, "n", &number, opts...))
			c.same(name+": as int64", test.sum, number)
			var got any
			c.ok(c.Get(ctx, "n", &got, opts...))
			c.same(name+": as any", any(test.sum), got)
			c.fails(c.Get(ctx, "n", test.tooSmall, opts...), cacheutils.ErrUndecodable)
			found := map[string]any{}
			c.ok(c.GetMany(ctx, []string{"n"}, found, opts...))
			c.same(name+": GetMany", map[string]any{"n": test.sum}, found)
			added, err := c.Add(ctx, "n", 1, opts...)
			c.ok(err)
			c.same(name+": Add over it", false, added)
			c.is(test.sum + 1)(c.Incr(ctx, "n", 1, opts...))
			c.is(5)(c.Decr(ctx, "n", test.sum-4, opts...))
			c.ok(c.Get(ctx, "n", test.tooSmall, opts...))
		}
	}
}
