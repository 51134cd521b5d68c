package keyenc

import (
	"math"
	"math/big"
	"reflect"
	"strconv"
	"unsafe"
)

// scalarBody returns the body of values of a simple kind, nil for other kinds.
func scalarBody(k reflect.Kind) appendFunc {
	switch k {
	case reflect.Bool:
		return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
			return appendBool(dst, *(*bool)(p)), nil
		}
	case reflect.Int:
		return intBody[int]
	case reflect.Int8:
		return intBody[int8]
	case reflect.Int16:
		return intBody[int16]
	case reflect.Int32:
		return intBody[int32]
	case reflect.Int64:
		return intBody[int64]
	case reflect.Uint:
		return uintBody[uint]
	case reflect.Uint8:
		return uintBody[uint8]
	case reflect.Uint16:
		return uintBody[uint16]
	case reflect.Uint32:
		return uintBody[uint32]
	case reflect.Uint64:
		return uintBody[uint64]
	case reflect.Uintptr:
		return uintBody[uintptr]
	case reflect.Float32:
		return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
			return appendFloat(dst, float64(*(*float32)(p)), 32), nil
		}
	case reflect.Float64:
		return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
			return appendFloat(dst, *(*float64)(p), 64), nil
		}
	case reflect.Complex64:
		return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
			return appendComplex(dst, complex128(*(*complex64)(p)), 32), nil
		}
	case reflect.Complex128:
		return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
			return appendComplex(dst, *(*complex128)(p), 64), nil
		}
	case reflect.String:
		return func(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
			return appendText(dst, *(*string)(p), w)
		}
	}
	return nil
}

func intBody[T int | int8 | int16 | int32 | int64](dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
	return strconv.AppendInt(dst, int64(*(*T)(p)), 10), nil
}

func uintBody[T uint | uint8 | uint16 | uint32 | uint64 | uintptr](dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
	return strconv.AppendUint(dst, uint64(*(*T)(p)), 10), nil
}

// appendScalar renders v if it is a bool or a number. It reads it without an address.
func appendScalar(dst []byte, v reflect.Value) ([]byte, bool) {
	switch v.Kind() {
	case reflect.Bool:
		return appendBool(dst, v.Bool()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(dst, v.Uint(), 10), true
	case reflect.Float32:
		return appendFloat(dst, v.Float(), 32), true
	case reflect.Float64:
		return appendFloat(dst, v.Float(), 64), true
	case reflect.Complex64:
		return appendComplex(dst, v.Complex(), 32), true
	case reflect.Complex128:
		return appendComplex(dst, v.Complex(), 64), true
	}
	return dst, false
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "True"...)
	}
	return append(dst, "False"...)
}

// appendFloat renders f as repr of Python does: the fewest digits that give f back among the
// floats of that many bits, with an exponent from 1e16 on and below 1e-4.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	size := math.Abs(f)
	small := size != 0 && size < 1e-4
	if bits == 32 {
		// The float32 that is written 0.0001 is below the float64 that is.
		small = size != 0 && float32(size) < 1e-4
	}
	if small || size >= 1e16 {
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
	for _, c := range dst[start:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendComplex renders c as (1.0+2.0j), with both parts as appendFloat renders them.
func appendComplex(dst []byte, c complex128, bits int) []byte {
	dst = appendFloat(append(dst, '('), real(c), bits)
	if math.IsNaN(imag(c)) || !math.Signbit(imag(c)) {
		dst = append(dst, '+')
	}
	return append(appendFloat(dst, imag(c), bits), "j)"...)
}

var (
	bigIntType   = reflect.TypeFor[big.Int]()
	bigFloatType = reflect.TypeFor[big.Float]()
)

func bigIntBody(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
	n := (*big.Int)(p)
	if err := w.room(dst, n.BitLen()/4); err != nil { // a digit is less than four bits
		return dst, err
	}
	return n.Append(dst, 10), nil
}

// bigFloatBody renders a float as ('0.1/53/ToNearestEven'): the fewest digits that give it back among those of its
// precision, that precision, and how it is rounded. Its accuracy is about how it came to be.
func bigFloatBody(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
	f := (*big.Float)(p)
	if err := w.room(dst, int(f.MinPrec()/4)); err != nil {
		return dst, err
	}
	dst = f.Append(append(dst, "('"...), 'g', -1)
	dst = strconv.AppendUint(append(dst, '/'), uint64(f.Prec()), 10)
	return append(append(append(dst, '/'), f.Mode().String()...), "')"...), nil
}
