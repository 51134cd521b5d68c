// Package cachekey turns arguments and functions into cache keys that a person can read.
//
//	args, err := cachekey.Args([]any{1, "it"}, nil) // (1,'it')
//	name, err := cachekey.FuncName(geo.LoadCity)    // example.com/app/geo.LoadCity:42
//	key := cachekey.Build(name, args)               // [cached]example.com/app/geo.LoadCity:42((1,'it'))
//	key = cachekey.Sanitize(key, 250)               // the same, because it is legal and short
//
// Args and Repr render values of any type. A type that should look different in keys has a
// CacheKey method, a field that should not count has the tag cachekey:"-". All functions may be
// called by any number of goroutines.
//
// # Renderings
//
// A value is rendered as repr of Python renders it, with the structural spaces left out. The rules
// in order, for a value whose type is known:
//
//  1. A type that decorators.ObjectAttrs names is rendered as a struct of the fields given there.
//  2. A type that has a text of its own is rendered as its name and that text,
//     netip.Addr('1.2.3.4'): one with a codec, see package codecs, that of the codec, and (None) for nil; a Keyer, also
//     before the codec of an interface; otherwise an encoding.TextMarshaler, with the method on the
//     type or on its pointer. A method that is only promoted from an embedded field is not the
//     type's own. The text of MarshalText counts only if UnmarshalText gives the value back: each value is
//     compared, deeply or by its own method Equal or Cmp. A nil slice or map of such a type without Equal is (None).
//     big.Int is rendered as decimal digits, big.Float as big.Float('0.1/53/ToNearestEven'), with its precision and
//     rounding mode. time.Time, and types made of it, as
//     time.Time('2026-01-02T03:04:05.6+01:00[Europe/Rome]'), which has the instant, the offset and
//     the location, <CET> for a fixed zone of that name, but none for UTC (Z), and no monotonic reading.
//     A Secret is rendered as Secret('...'), a hash of its text.
//  3. Booleans are True and False, integers decimal digits, floats as Python's with the fewest
//     digits that give them back (1.0, 1e+16, nan, -inf, -0.0), complex numbers (1.0+2.0j).
//  4. A string is rendered with Python's quotes and escapes, except that a space is \x20 and that a
//     byte that is not UTF-8 is \udc80 to \udcff. What strconv.IsPrint calls printable stands for
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
// []any, Tuple and map[string]any unless they are nil; map[any]any with a key that is not a string;
// and a *big.Int that no int64 can hold.
//
// # What can't be in a key
//
//   - Channels, funcs and unsafe.Pointers, arrays of none apart. A key never contains a memory address.
//   - Types of sync and sync/atomic, and what contains one: a value that guards itself is there to be changed while
//     it is read.
//   - A context.Context under whatever name: those of a decorated function don't count, and inside of something they
//     can't be left out by themselves.
//   - An encoding.TextMarshaler without UnmarshalText, whose text may hide a part, and a value that its text doesn't
//     give back.
//   - Protobuf messages, whose state is hidden, without the codec of codecs/protobuf.
//   - Values that contain themselves, are nested deeper than 10,000 levels, or whose text would be longer than 16 MiB.
//
// A type that has one of these as a part can be rendered if it is a Keyer or has a codec, if decorators.ObjectAttrs names the fields
// that count, or if the field has the tag cachekey:"-". What is behind an interface is found out when it is
// rendered, by its type, before anything of it is read.
//
// Values that differ never share a rendering, unless their types have one name and are declared
// inside of different functions: package reflect can't distinguish those either. The argument why
// is in the doc of internal/keyenc.
//
// No rendering has a byte up to 0x20, a 0x7f or a byte that is not UTF-8: texts are escaped, and
// type and function names contain none. Sanitize keeps the length within bounds.
package cachekey
