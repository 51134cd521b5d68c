// Package codec turns Go values into bytes and back, exactly or not at all.
//
//	t := codec.Of(reflect.TypeFor[City]())      // once per type
//	if err := t.Err(); err != nil { ... }       // "field geo.City.conn of type net.Conn: an interface with methods; ..."
//	data, err := t.Append(nil, unsafe.Pointer(&city))
//	err = t.Decode(data, unsafe.Pointer(&back)) // back is a zero City
//
// The caller stores t.Fingerprint() with the data and decodes only data with the fingerprint that
// the type has now: the bytes don't say what they are, and a struct whose fields were renamed or
// reordered since has another fingerprint.
//
// # What is kept
//
//	bool, numbers, strings        all bits of floats (NaN, -0), strings of any bytes
//	slices, maps                  nil is not empty; NaN keys; []byte is copied
//	arrays, structs               all fields but those called _; struct tags change nothing
//	embedded structs              as any other field, also if they conflict or their type is unexported
//	pointers                      nil, pointer to nil, recursive types
//	time.Time                     instant, nanoseconds, zone and location, any year
//	any, also as a named type     with the exact type of its value, if the decoding process knows that
//	                              type (see Lookup)
//	types with unexported fields  if they have a pair of methods for it: MarshalBinary and UnmarshalBinary,
//	                              otherwise GobEncode and GobDecode, or MarshalText and UnmarshalText
//
//	types with a codec            as that of the user's says, see package usercodec; they are not looked at
//
// A type that can be encoded by its parts is, whatever methods it has. The methods of the others
// must be the type's own, not those of an embedded field, and every value is checked when it is
// encoded: it is unmarshaled again, and has to be deeply equal to what it was or equal by its
// own method Equal or Cmp. So big.Int, big.Float, netip.Addr, url.URL and regexp.Regexp work.
//
// What is under a key of a map is found under it in what is decoded, in every process.
//
// # What is normalised
//
//   - time.Time loses its monotonic part. So times are to be compared by their method Equal, not by ==.
//   - A time in a time zone that the decoding process doesn't have, or has other rules for at that instant,
//     keeps instant, offset and abbreviation in a fixed zone. That concerns time.Local too.
//   - Pointers, slices and maps that share memory come back separate. The capacity of a slice is its length.
//
// # What is refused
//
// Types, by Err: functions, channels, unsafe pointers, interfaces with methods (error, too),
// unexported fields of types that have no marshaler (so everything with a mutex), unless they take no memory, and maps
// with pointers in their keys, which only their addresses distinguish. So are types whose marshaler keeps neither a
// zero value nor one whose exported fields are set, or always loses one of those fields, types whose codec doesn't keep both,
// and maps with keys of such types, to which their copies are not ==.
//
// Values, by Append: an interface with a value of such a type, or of a type that shares
// its name and structure with another (both declared inside functions); what contains itself;
// what is nested deeper than 10,000 levels, longer than 512 MiB or of more than 4 million parts; what its marshaler fails for
// or loses a part of; a time in a location that time.LoadLocation doesn't find; a map with a key of
// which == tells a copy apart: a time in another location than UTC and Local or with a monotonic part, and what else has an
// address in it.
//
// # Trust
//
// Decode takes any bytes. What isn't an encoding of the type is an error that matches
// cacheutils.ErrUndecodable, also if an unmarshaler panics; where it is that of a value that another process can have, and
// not this one, the error matches ErrUnknownType as well. Decode never takes more than 32 bytes
// of memory for each byte of input and 2 KiB. What unmarshalers and codecs take of their own and the tables
// of time zones are not counted. DecodeWithin counts what codecs say that they take. DecodeWithin has a limit of memory besides, whatever the length, and a list of the types
// that may be behind interfaces; Encode says what an encoding needs of both.
package codec
