package cachekey

import "testing"

func BenchmarkArgs(b *testing.B) {
	b.Run("int_string", func(b *testing.B) {
		args := []any{1, "it"}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Args(args, nil)
		}
	})
}

func BenchmarkSanitize(b *testing.B) {
	key := Build("example.com/app/geo.LoadCity:42", "(1,'it')")
	long := key + string(make([]byte, 300))
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Sanitize(key, 250)
		}
	})
	b.Run("shortened", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Sanitize(long, 250)
		}
	})
}

func BenchmarkFuncName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = FuncName(Sanitize)
	}
}

func BenchmarkRepr(b *testing.B) {
	b.Run("tuple", func(b *testing.B) {
		key := any(Tuple{"city", 42})
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Repr(key)
		}
	})
}
