// Package keyenc renders values as texts for keys. The rules are in the doc of package cachekey, which
// has Repr and Args for users; here are the encoders that decorated functions run.
//
// An [Encoder] is compiled for one type and allocates nothing for most of them. compile.go makes a
// node of each type that can be reached from it, value.go renders pointers, lists and maps,
// named.go types that have a text of their own, scalar.go, text.go and time.go the leaves, and
// walk.go finds values that contain themselves.
//
// # Why two values never share a rendering
//
// Let r(T) be the rendering of values whose type T is known, and r(any) the one behind interfaces.
// Both can be read from left to right without looking further than the value:
//
//   - Each r(T) is one form, or None for nil. T says which form, and none of those that a type
//     with a nil has is None, or begins with it and a character that may follow a value. The & of
//     a pointer keeps one to a nil apart from a nil one.
//   - A form ends where it says so: texts at their quote, since a quote within is escaped; what is in brackets
//     at its bracket, since those in texts are within quotes; numbers and words at one of , : ) ] } or the end,
//     since they contain none of these and only these follow a value.
//   - So lists, tuples, structs and maps can be cut into their parts, and by induction the parts are
//     determined. The order of a map's entries is a function of the entries.
//   - A text determines its bytes: the backslash, the quote and whatever doesn't stand for itself
//     are escaped, each rune and each stray byte in a way of its own. Floats have the digits that
//     give them back, one word for all NaNs and a sign for -0. Types that have a text of their own
//     are as distinct as their texts.
//   - r(any) is bare or begins with a type's name. A bare rendering begins with a digit, a minus, a
//     quote, b and a quote, [, ( or {, or is one of the words None True False nan inf. A type's
//     name ends at the ( or { of the value, by its own brackets, and so is none of the words and not
//     a number; before any quote it has a bracket. Where it begins with one, [] or [4] or [0]
//     is followed by the element type's first character, which never follows a list.
//   - Which type a bare rendering has can be seen: an int is digits up to int64 and *big.Int
//     beyond, a float has a point or an exponent or is a word, {} is a map[string]any, as is a map
//     whose keys all begin with a quote, and other maps are map[any]any.
//   - [TypeName] gives each type another name, so that the rest is r(T) of a known T.
//
// Where the compiler's numbers of types that are declared in functions can't be known, see package typeid, two such
// types may have one name. Then the first that is rendered behind an interface has it, and others are refused.
package keyenc
