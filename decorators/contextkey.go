package decorators

import (
	"context"
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// ContextKey has what fn returns count in the key, besides the arguments: what of its context the function's result
// depends on, a user or a tenant. fn takes the context, and returns one value or several, which are rendered as
// arguments behind an @; of a single cachekey.Tuple, what it contains:
//
//	decorators.ContextKey(func(ctx context.Context) string { return auth.User(ctx) }) // [cached]profile((7,)@('alice',))
//
// fn runs at every call, and must return the same for one context each time. Instead of a context that is nil it is
// given context.Background(). The methods of the handle use the context that they are given; CacheKey of Cached0 to
// Cached3 and CachedMany is given none, and returns an error that matches cacheutils.ErrArguments.
//
// Cached panics if ContextKey is given twice: neither may leave out what the other counts.
func ContextKey(fn any) Option {
	return func(o *options) { o.contextKeys = append(o.contextKeys, fn) }
}

type contextOptions struct {
	contextKeys []any // at most one is right
}

// planContextKey checks the function that says what of the context counts, if there is one.
func (k *keyPlan) planContextKey(attrs keyenc.Attrs) {
	given := k.options.contextKeys
	if len(given) == 0 {
		return
	}
	if k.contextIndex < 0 {
		panicf("%s: ContextKey is for functions that take a context, and it takes %s; leave it out, or have it take a context.Context",
			k.displayName, k.takes())
	}
	v, in := reflect.ValueOf(given[0]), k.typ.In(k.contextIndex)
	switch {
	case v.Kind() != reflect.Func || v.IsNil(),
		v.Type().NumIn() != 1 || v.Type().IsVariadic() || !in.AssignableTo(v.Type().In(0)),
		v.Type().NumOut() == 0:
		panicf("%s: ContextKey takes a func(%s) that returns what of the context counts in the key, got %s", k.displayName, in, givenFunc(v))
	case len(given) > 1:
		panicf("%s: ContextKey is given twice, and one would leave out what the other counts; give one whose function returns both",
			k.displayName)
	}
	k.contextKey, k.contextParams = v, k.resultParams("ContextKey", v.Type(), attrs)
}

// appendContext appends the part of the key that stands for the context: @('alice',). What it stands behind, the
// name's bracket or the last bracket of the arguments, has no @ after it otherwise.
func (k *keyPlan) appendContext(b []byte, a *arguments, s *keyenc.Secrets) ([]byte, error) {
	if a.part != nil {
		return append(b, a.part...), nil
	}
	b = append(b, '@')
	start := len(b)
	b, err := appendTuple(b, k.contextParams, &arguments{values: k.contextKey.Call([]reflect.Value{k.contextOf(a)})}, s)
	if len(b) == start {
		b = append(b, "()"...)
	}
	return b, err
}

// contextOf returns the context among the arguments as the function of ContextKey takes it.
func (k *keyPlan) contextOf(a *arguments) reflect.Value {
	if contextType.AssignableTo(k.contextKey.Type().In(0)) {
		ctx := orBackground(a.ctx)
		return reflect.ValueOf(&ctx).Elem()
	}
	return a.values[k.contextIndex]
}

// countsContext reports whether something of the context may count in the key.
func (k *keyPlan) countsContext() bool {
	return k.contextKey.IsValid() || k.keyOf.IsValid() && k.contextIndex >= 0
}

// contextPart returns the part of the keys of a call under ctx that stands for that, or nil if there is none.
func (k *keyPlan) contextPart(ctx context.Context, s *keyenc.Secrets) ([]byte, error) {
	if !k.contextKey.IsValid() {
		return nil, nil
	}
	return k.appendContext(nil, &arguments{ctx: ctx}, s)
}

// needsContext returns an error if a key can't be made without a context.
func (k *keyPlan) needsContext() error {
	if !k.contextKey.IsValid() {
		return nil
	}
	return fmt.Errorf("%w: the key of %s depends on a context, by its ContextKey, and CacheKey is given none: "+
		"have Cached decorate it, whose CacheKey takes the context too", cacheutils.ErrArguments, k.name)
}
