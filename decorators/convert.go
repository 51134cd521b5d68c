package decorators

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/cacheutils/cacheutils"
)

// arguments makes the function's arguments from args.
func (p *plan) arguments(args []any) ([]reflect.Value, error) {
	t := p.typ
	fixed := t.NumIn()
	if t.IsVariadic() {
		fixed--
	}
	if len(args) < fixed || len(args) > fixed && !t.IsVariadic() {
		return nil, fmt.Errorf("%w: %s takes %s, got (%s)%s", cacheutils.ErrArguments, p.name, p.takes(), givenTypes(args), spreadHint(args))
	}
	values := make([]reflect.Value, 0, t.NumIn())
	for i := range fixed {
		v, ok := convert(args[i], t.In(i))
		if !ok {
			return nil, p.wrongArgument(i, args[i], t.In(i))
		}
		values = append(values, v)
	}
	if !t.IsVariadic() {
		return values, nil
	}
	rest, err := p.variadic(args[fixed:], fixed)
	if err != nil {
		return nil, err
	}
	return append(values, rest), nil
}

// variadic makes the last argument of a variadic function from the arguments that it stands for. A slice is
// taken as all of them where it can't be one of them.
func (p *plan) variadic(args []any, fixed int) (reflect.Value, error) {
	t := p.typ.In(fixed)
	if len(args) == 1 && args[0] != nil && !reflect.TypeOf(args[0]).AssignableTo(t.Elem()) {
		if v := reflect.ValueOf(args[0]); v.Type().AssignableTo(t) {
			return v.Convert(t), nil
		}
	}
	if len(args) == 0 {
		return reflect.Zero(t), nil
	}
	rest := reflect.MakeSlice(t, len(args), len(args))
	for i, arg := range args {
		v, ok := convert(arg, t.Elem())
		if !ok {
			return rest, p.wrongArgument(fixed+i, arg, t.Elem())
		}
		rest.Index(i).Set(v)
	}
	return rest, nil
}

func (p *plan) resultValues(results []any) ([]reflect.Value, error) {
	t := p.typ
	if len(results) != p.numResults {
		hint := ""
		if len(results) == t.NumOut() { // with the error
			hint = "; leave out the error: a result that is stored has none"
		}
		return nil, fmt.Errorf("%w: %s has the results (%s), got (%s)%s",
			cacheutils.ErrArguments, p.name, typeList(t.Out, p.numResults), givenTypes(results), hint)
	}
	values := make([]reflect.Value, len(results))
	for i, result := range results {
		v, ok := convert(result, t.Out(i))
		if !ok {
			return nil, fmt.Errorf("%w: result %d of %s has type %s, got %s",
				cacheutils.ErrArguments, i+1, p.name, t.Out(i), describeGiven(result, t.Out(i)))
		}
		values[i] = v
	}
	return values, nil
}

func (p *plan) wrongArgument(i int, arg any, want reflect.Type) error {
	return fmt.Errorf("%w: argument %d of %s has type %s, got %s; the function takes %s",
		cacheutils.ErrArguments, i+1, p.name, want, describeGiven(arg, want), p.takes())
}

// describeGiven describes v, which was given for a value of type t: by its type, or as a constant that t can't have.
func describeGiven(v any, t reflect.Type) string {
	if v == nil {
		return "nil"
	}
	switch n := reflect.ValueOf(v); v.(type) {
	case int, rune, float64, complex128:
		switch {
		case n.CanInt() && isNumber(t), n.CanFloat() && (t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64), n.CanComplex() && t.Kind() == reflect.Complex64:
			return fmt.Sprintf("%v, which is out of its range", v)
		}
	}
	return reflect.TypeOf(v).String()
}

// givenTypes lists the types of values that were given. Contexts are called what they are taken for.
func givenTypes(values []any) string {
	names := make([]string, len(values))
	for i, v := range values {
		switch v.(type) {
		case nil:
			names[i] = "nil"
		case context.Context:
			names[i] = "context.Context"
		default:
			names[i] = reflect.TypeOf(v).String()
		}
	}
	return strings.Join(names, ", ")
}

// spreadHint says what to do about arguments that were given as one list of them.
func spreadHint(args []any) string {
	if len(args) == 1 {
		if _, ok := args[0].([]any); ok {
			return "; give the arguments one by one, or write ... behind the list"
		}
	}
	return ""
}

// isNumber reports whether t is an integer or a float.
func isNumber(t reflect.Type) bool {
	v := reflect.Zero(t)
	return v.CanInt() || v.CanUint() || v.CanFloat()
}

// convert returns arg as a value of type t. As in a call, nil may stand for any type that can be nil. A
// constant, which arrives as a value of its default type, may stand for any type that has its value.
func convert(arg any, t reflect.Type) (v reflect.Value, ok bool) {
	if arg == nil {
		switch t.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.Func, reflect.Chan, reflect.UnsafePointer:
			return reflect.Zero(t), true
		default:
			return v, false
		}
	}
	v = reflect.ValueOf(arg)
	if v.Type().AssignableTo(t) {
		c := reflect.New(t).Elem()
		c.Set(v)
		return c, true
	}
	switch arg.(type) {
	case int, rune, float64, complex128, string, bool:
		return convertConstant(v, t)
	default:
		return v, false
	}
}

func convertConstant(v reflect.Value, t reflect.Type) (c reflect.Value, ok bool) {
	c = reflect.New(t).Elem()
	switch {
	case v.Kind() == t.Kind() && v.Kind() != reflect.Int32: // a named type
		return v.Convert(t), true
	case v.CanInt() && c.CanInt():
		c.SetInt(v.Int())
		return c, c.Int() == v.Int()
	case v.CanInt() && c.CanUint():
		if v.Int() < 0 {
			return c, false
		}
		c.SetUint(uint64(v.Int()))
		return c, c.Uint() == uint64(v.Int())
	case v.CanInt() && c.CanFloat():
		c.SetFloat(float64(v.Int()))
		return c, int64(c.Float()) == v.Int()
	case v.CanFloat() && c.CanFloat():
		c.SetFloat(v.Float())
		return c, !c.OverflowFloat(v.Float())
	case v.CanComplex() && c.CanComplex():
		c.SetComplex(v.Complex())
		return c, !c.OverflowComplex(v.Complex())
	default:
		return c, false
	}
}
