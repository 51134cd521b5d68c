// Package typeid names types and packages so that they are told apart where package reflect doesn't do so: types of
// package main, which each program has, and types that are declared in functions.
package typeid

import (
	"crypto/sha256"
	"encoding/binary"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// Package returns the path by which a package is known to other programs: the one that the linker has, except for
// package main, which is that of the program.
func Package(path string) string {
	if path == "main" {
		return program()
	}
	return path
}

// IsNowhere reports whether path, as Package returned it, is that of a package which was built from a list of files, or of
// package main without modules: other programs may have one of that path.
func IsNowhere(path string) bool {
	return path == "main" || strings.HasPrefix(path, listOfFiles)
}

// listOfFiles is the path of what is built from a list of files.
const listOfFiles = "command-line-arguments"

// program is a variable for the tests.
var program = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" || strings.HasPrefix(info.Path, listOfFiles) {
		return "main"
	}
	return info.Path
})

// Of returns the path of the package in which the type t is declared, as Package has it, and its name, with type
// arguments as package reflect writes them. A type that is declared in a function has its number in the package, as it
// has in type arguments: row·3. Both are the same in each build of one source. They are empty for types without
// a name; predeclared types have no path.
func Of(t reflect.Type) (path, name string) {
	if t.PkgPath() == "" {
		return "", t.Name()
	}
	found, ok := names.Load(t)
	if !ok {
		name := Qualify(t.Name())
		if n := number(t); n > 0 {
			name += "·" + strconv.Itoa(n)
		}
		found, _ = names.LoadOrStore(t, name)
	}
	return Package(t.PkgPath()), found.(string)
}

var names sync.Map // reflect.Type to its name

// WithoutNumbers returns name without the numbers of types that are declared in functions: names of types that differ
// in nothing besides these are alike in the source.
func WithoutNumbers(name string) string {
	if !strings.Contains(name, "·") {
		return name
	}
	parts := strings.Split(name, "·")
	for i, part := range parts[1:] {
		parts[i+1] = strings.TrimLeft(part, "0123456789")
	}
	return strings.Join(parts, "")
}

// Qualify replaces package main by the path of the program in the type arguments of a type's name.
func Qualify(name string) string {
	const qualifier = "main."
	if !strings.Contains(name, qualifier) {
		return name
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case quoted && c == '\\' && i+1 < len(name):
			b.WriteByte(c)
			i++
			b.WriteByte(name[i])
		case !quoted && strings.HasPrefix(name[i:], qualifier) && beginsPath(name[:i]):
			b.WriteString(program() + ".")
			i += len(qualifier) - 1
		default:
			quoted = quoted != (c == '"')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// beginsPath reports whether a package's path may begin after before.
func beginsPath(before string) bool {
	return before == "" || strings.HasSuffix(before, "...") || strings.IndexByte("[](){},;* ", before[len(before)-1]) >= 0
}

// maxNumber bounds the search for a type's number.
const maxNumber = 1000

// number returns the number of a type that is declared in a function, or 0. The compiler numbers such types in each
// package, and writes the numbers in the names that the linker knows, of which the runtime has a hash. If the hash is
// not made as expected, no type has a number.
func number(t reflect.Type) int {
	if !knowsHash() {
		return 0
	}
	name, hash := linkerName(t), hashOf(t)
	for n := range maxNumber {
		numbered := name
		if n > 0 {
			numbered += "·" + strconv.Itoa(n)
		}
		if sum32(numbered) == hash {
			return n
		}
	}
	return 0
}

type known struct{}

// knowsHash reports whether types have the hash of their name.
var knowsHash = sync.OnceValue(func() bool {
	t := reflect.TypeFor[known]()
	return runtime.Compiler == "gc" && sum32(linkerName(t)) == hashOf(t)
})

// hashOf returns the hash that the runtime has of a type: it stands behind two words.
func hashOf(t reflect.Type) uint32 {
	type header struct {
		_, _ uintptr
		hash uint32
	}
	return (*header)((*[2]unsafe.Pointer)(unsafe.Pointer(&t))[1]).hash
}

// sum32 is the hash that the compiler makes of a name.
func sum32(name string) uint32 {
	sum := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint32(sum[:]) ^ 0xff
}

// linkerName returns the name that the linker has for a package-level type.
func linkerName(t reflect.Type) string {
	path := t.PkgPath()
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c <= ' ' || c == '%' || c == '"' || c >= 0x7f || c == '.' && i > strings.LastIndexByte(path, '/') {
			const digits = "0123456789abcdef"
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + "." + t.Name()
}
