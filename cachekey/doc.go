// Package cachekey turns arguments and functions into cache keys that a person can read.
//
//	args, err := cachekey.Args([]any{1, "it"}, nil) // (1,'it')
//	name, err := cachekey.FuncName(geo.LoadCity)    // example.com/app/geo.LoadCity:42
//	key := cachekey.Build(name, args)               // [cached]example.com/app/geo.LoadCity:42((1,'it'))
//	key = cachekey.Sanitize(key, 250)               // the same, as it is legal and short
//
// Args and Repr render values of any type; EncoderOf compiles an Encoder for values of one type,
// which allocates nothing for most of them. A type that should look different in keys has a
// CacheKey method, a field that should not count has the tag cachekey:"-".
//
// # Renderings
//
// A value is rendered as repr of Python renders it, with the structural spaces left out. The rules
// in order, for a value whose type is known:
//
//  1. A type with attributes (Attrs) is rendered as a struct of those fields.
//  2. A type that has a text of its own is rendered as its name and that text,
//     netip.Addr('1.2.3.4'): a Keyer, else an encoding.TextMarshaler, with the method on the
//     type or on its pointer. A method that is only promoted from an embedded field is not the
//     type's own. big.Int is rendered as decimal digits. time.Time, and types made of it, as
//     time.Time('2026-01-02T03:04:05.6+01:00[Europe/Rome]'), which has the instant, the offset and
//     the location, but no location for UTC (Z) and fixed zones, and no monotonic reading.
//  3. Booleans are True and False, integers decimal digits, floats as Python's with the fewest
//     digits that give them back (1.0, 1e+16, nan, -inf, -0.0), complex numbers (1.0+2.0j).
//  4. A string is rendered with Python's quotes and escapes, except that a space is \x20 and that a
//     byte that is no UTF-8 is \udc80 to \udcff. What strconv.IsPrint calls printable stands for
//     itself: keys with characters that Unicode adds may change with the Go release. Slices
//     and arrays of bytes are b'...', likewise.
//  5. A pointer is rendered as what it points at, after & where that could be None itself.
//  6. Slices and arrays are lists, [1,2]; a Tuple is a tuple, (1,).
//  7. Maps are {key:value}, sorted by the text of the keys and then of the values.
//  8. A struct is its bare type name and all fields in order, City{id=1,lang='it'}, without blank
//     ones and those tagged cachekey:"-".
//  9. A nil pointer, slice, map or interface is None. Empty ones are not.
//  10. An interface value is rendered as follows.
//
// Behind an interface, and for everything given to Args and Repr, a value carries its type with the
// full package path: example.com/app/geo.City{id=1}, net/netip.Addr('1.2.3.4'), int64(1),
// []int([1,2]), *int(None). Only these don't: nil itself; bool, int, float64 and string; []byte,
// []any, Tuple and map[string]any unless they are nil; map[any]any with a key that is no string;
// and a *big.Int that no int64 can hold.
//
// Channels, funcs and unsafe.Pointers can't be rendered, nor can values that contain themselves.
// A key never holds a memory address.
//
// # Why two values never share a rendering
//
// Let r(T) be the rendering of values whose type T is known, and r(any) the one behind interfaces.
// Both can be read from left to right without looking further than the value:
//
//   - Each r(T) is one form, or None for nil. T says which form, and none of those that a type
//     with a nil has is None, or begins with it and a character that may follow a value. The & of
//     a pointer keeps one to a nil apart from a nil one.
//   - A form ends where it says so: texts at their quote, since a quote within is escaped; what
//     is in brackets at its bracket, since those in texts are within quotes; numbers and words
//     at one of , : ) ] } or the end, since they hold none of these and nothing else follows
//     a value.
//   - So lists, tuples, structs and maps can be cut into their parts, and by induction the parts are
//     determined. The order of a map's entries is a function of the entries.
//   - A text determines its bytes: the backslash, the quote and whatever doesn't stand for itself
//     are escaped, each rune and each stray byte in a way of its own. Floats have the digits that
//     give them back, one word for all NaNs and a sign for -0. Types of rule 2 are as distinct
//     as their texts.
//   - r(any) is bare or begins with a type's name. A bare rendering begins with a digit, a minus, a
//     quote, b and a quote, [, ( or {, or is one of the words None True False nan inf. A type's
//     name ends at the ( or { of the value, by its own brackets, and so is none of the words and no
//     number; before any quote it has a bracket. Where it begins with one, [] or [4] or [0]
//     is followed by the element type's first character, which never follows a list.
//   - Which type a bare rendering has can be seen: an int is digits up to int64 and *big.Int
//     beyond, a float has a point or an exponent or is a word, {} is a map[string]any, as is a map
//     whose keys all begin with a quote, and other maps are map[any]any.
//   - TypeName gives each type another name, so that the rest is r(T) of a known T.
//
// Types of one name that are declared inside of different functions are the exception, as they are
// for package reflect.
//
// # Legal by construction
//
// No rendering has a byte up to 0x20, a 0x7f or a byte that is no UTF-8: texts are escaped, and
// type and function names hold none. Sanitize keeps the length within bounds.
package cachekey
