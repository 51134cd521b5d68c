// Package funcname identifies functions by where they are written, so that their names in keys are
// the same in each build. It reads the linker's symbols, which differ from build to build for func
// literals, and the files and lines behind them, which do not.
package funcname

import (
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/typeid"
)

// A Func says which function a func value is.
type Func struct {
	Name     string // the function's identity in keys, in the forms that cachekey.FuncName lists
	Package  string // the path of the package where it is written; of package main that of the program, if that is known
	File     string // as the compiler recorded it; empty where there is no source
	Line     int    // of the word func; 0 where there is no source
	Receiver bool   // it is a method expression: its first parameter is the receiver
	Literal  bool   // it is a func literal: all closures made by it share its Name
	Bound    bool   // it is a method value: those of all receivers share its Name

	// Types is what of the Name stands for the type arguments, in brackets, if it is an instance of a generic function, a
	// literal that is surely in one, or a method of an instance of a generic type. Type arguments that don't show in the type of a function, or of a method
	// value, are not in it.
	Types string

	// Local says that a type argument or the receiver's type is declared in a function. In another function there may be one
	// of the same name: the Name distinguishes type arguments by their numbers, which an edit of the source may change.
	Local bool
}

// Describe finds out what the func value fn is. cachekey.FuncName, which returns the Name, says what
// its limits are and when it fails; where a literal's package isn't found out, Package is the one
// that it was compiled into.
func Describe(fn any) (Func, error) {
	at, err := locate(reflect.ValueOf(fn))
	if err != nil {
		return Func{}, err
	}
	t := reflect.TypeOf(fn)
	pkg, symbol := splitSymbol(at.symbol)
	f := Func{Package: typeid.Package(pkg), File: at.file, Line: at.line}
	if method, ok := strings.CutSuffix(symbol, "-fm"); ok {
		f.Bound = true
		f.setTypes(typesOf(method, t))
		f.Name = qualify(f.Package, withTypes(stripPointer(method), f.Types))
		return f, nil
	}
	if recv, method, ok := cutReceiver(pkg, symbol, t); ok {
		f.Receiver = true
		if f.Line == 0 {
			at := declaration(recv, method, map[reflect.Type]bool{})
			f.File, f.Line = at.file, at.line
		}
		name := keyenc.TypeName(recv)
		f.Local = strings.Contains(name, "·")
		if number := strings.LastIndex(name, "·"); number > strings.LastIndexByte(name, ']') {
			name = name[:number] // a method has no type arguments of its own
		}
		if i := strings.IndexByte(name, '['); i >= 0 && recv.Name() != "" {
			f.Types = name[i:]
		}
		f.Name = numbered(name+"."+method, f.Line)
		return f, nil
	}
	if isLiteral(symbol) {
		f.Literal = true
		f.Package = typeid.Package(packageOf(at.file, pkg))
		around, types := trimLiterals(symbol), ""
		if isGeneric(around) {
			f.Types = "[" + keyenc.TypeName(t) + "]"
			types = f.Types
		} else if isGenericMethod(around) {
			types = "[" + keyenc.TypeName(t) + "]"
		}
		f.Name = numbered(qualify(f.Package, literalName(at.file)+types), f.Line)
		return f, nil
	}
	f.setTypes(typesOf(symbol, t))
	f.Name = numbered(qualify(f.Package, withTypes(stripPointer(symbol), f.Types)), f.Line)
	return f, nil
}

func (f *Func) setTypes(types string) {
	f.Types, f.Local = types, strings.Contains(types, "·")
}

// locate returns the place of the func v, or an error for what has none of its own.
func locate(v reflect.Value) (place, error) {
	if v.Kind() != reflect.Func {
		return place{}, invalid("%s is not a func", errtext.Given(v))
	}
	if v.IsNil() {
		return place{}, invalid("a nil %s has no name", v.Type())
	}
	at := placeOf(v.Pointer())
	switch at.symbol {
	case "":
		return at, invalid("a %s whose name the runtime does not know; name it with decorators.Key", v.Type())
	case "reflect.makeFuncStub":
		return at, invalid("a %s made by reflect.MakeFunc, as decorated functions are, looks like any other; name it with decorators.Key", v.Type())
	case "reflect.methodValueCall":
		return at, invalid("a %s made by reflect's Method looks like any other; name it with decorators.Key", v.Type())
	}
	return at, nil
}

// invalid returns an error that wraps cacheutils.ErrInvalidKey.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{cacheutils.ErrInvalidKey}, args...)...)
}

// instance is what the runtime writes instead of type arguments.
const instance = "[...]"

// A place is where a function begins.
type place struct {
	symbol string // the linker's name
	file   string
	line   int // 0 for what the compiler generated
}

// placeOf returns the place of the function at pc. What was inlined into its first instructions
// doesn't count: of the frames at pc, the last is the function's own.
func placeOf(pc uintptr) place {
	frames := runtime.CallersFrames([]uintptr{pc + 1})
	frame, more := frames.Next()
	for more {
		frame, more = frames.Next()
	}
	if frame.File == "<autogenerated>" {
		return place{symbol: frame.Function}
	}
	at := place{frame.Function, frame.File, frame.Line}
	// The line of the first instruction, frame.Line, depends on how the function was compiled.
	if start := reflect.ValueOf(frame).FieldByName("startLine"); start.IsValid() && start.CanInt() && start.Int() > 0 {
		at.line = int(start.Int())
	}
	return at
}

// splitSymbol splits a linker's name into the package path, as it is written in an import, and
// the rest. For methods of anonymous types, like go:struct{...}.M, the path is empty.
func splitSymbol(symbol string) (pkg, rest string) {
	if rest, ok := strings.CutPrefix(symbol, "go:"); ok {
		return "", rest
	}
	slash := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[slash:], '.')
	if dot < 0 {
		return "", symbol
	}
	return keyenc.EscapeName(symbol[:slash+dot]), symbol[slash+dot+1:]
}

// cutReceiver recognises a method expression by its name, Type.Method, and its first parameter, which
// is of that type. It returns the receiver's type, without a pointer, and the method's name.
func cutReceiver(pkg, symbol string, t reflect.Type) (recv reflect.Type, method string, ok bool) {
	dot := strings.LastIndexByte(symbol, '.')
	if dot < 0 || t.NumIn() == 0 {
		return nil, "", false
	}
	name, method := stripPointer(symbol[:dot]), symbol[dot+1:]
	recv = t.In(0)
	if recv.Kind() == reflect.Pointer && recv.Name() == "" {
		recv = recv.Elem()
	}
	if pkg == "" && recv.Name() == "" {
		// A method that an anonymous type has from what it embeds.
		return recv, method, strings.HasPrefix(name, "struct {") || strings.HasPrefix(name, "interface {")
	}
	name, _, _ = strings.Cut(name, "·") // types inside of functions are numbered
	bare, _, generic := strings.Cut(recv.Name(), "[")
	name, wasGeneric := strings.CutSuffix(name, instance)
	return recv, method, bare == name && generic == wasGeneric && keyenc.EscapeName(recv.PkgPath()) == pkg
}

// declaration finds where the exported method is declared: for recv, a pointer to it, or a type
// that recv embeds and that wasn't seen. The place is empty for others and for methods of
// interfaces.
func declaration(recv reflect.Type, method string, seen map[reflect.Type]bool) place {
	seen[recv] = true
	for _, r := range []reflect.Type{recv, reflect.PointerTo(recv)} {
		if m, ok := r.MethodByName(method); ok && m.Func.IsValid() {
			if at := placeOf(m.Func.Pointer()); at.line != 0 {
				return at
			}
		}
	}
	if recv.Kind() != reflect.Struct {
		return place{}
	}
	for i := range recv.NumField() {
		f := recv.Field(i)
		if f.Type.Kind() == reflect.Pointer {
			f.Type = f.Type.Elem()
		}
		if f.Anonymous && !seen[f.Type] {
			if at := declaration(f.Type, method, seen); at.line != 0 {
				return at
			}
		}
	}
	return place{}
}

// isLiteral reports whether the compiler invented the name: F.func1, init.func2, T.M.func1.2,
// F.gowrap1, F-range1.
func isLiteral(symbol string) bool { return trimLiterals(symbol) != symbol }

// trimLiterals cuts the invented elements off the end of a symbol, so that what remains is the
// function around the literal.
func trimLiterals(symbol string) string {
	for {
		dot := strings.LastIndexByte(symbol, '.')
		if dot <= 0 || strings.HasSuffix(symbol, instance) {
			return symbol
		}
		last := symbol[dot+1:]
		for _, invented := range []string{"func", "gowrap", "deferwrap"} {
			last = strings.TrimPrefix(last, invented)
		}
		if last == "" || strings.Trim(last, "0123456789") != "" {
			if before, n, ok := cutLast(symbol, "-range"); ok && strings.Trim(n, "0123456789") == "" {
				symbol = before
				continue
			}
			return symbol
		}
		symbol = symbol[:dot]
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// stripPointer turns (*T) and (*T).M into T and T.M.
func stripPointer(symbol string) string {
	inner, ok := strings.CutPrefix(symbol, "(*")
	if !ok {
		return symbol
	}
	before, after, _ := cutLast(inner, ")")
	return before + after
}

// typesOf returns the func's type in brackets, which stands for the type arguments, if there are any in the symbol.
func typesOf(symbol string, t reflect.Type) string {
	if !strings.Contains(symbol, instance) {
		return ""
	}
	return "[" + keyenc.TypeName(t) + "]"
}

// withTypes replaces the type arguments of a symbol.
func withTypes(symbol, types string) string {
	return strings.Replace(keyenc.EscapeName(symbol), instance, types, 1)
}

// literalName returns the name of a literal in its package: the base of its file.
func literalName(file string) string {
	return keyenc.EscapeName(path.Base(strings.ReplaceAll(file, `\`, "/")))
}

// isGeneric reports whether the function around a literal is surely generic, or a method of a pointer to a generic type.
// Where it was inlined, its symbol follows those of the functions around it, which don't count.
func isGeneric(symbol string) bool {
	if strings.HasSuffix(symbol, instance) {
		return true
	}
	dot := strings.LastIndexByte(symbol, '.')
	return dot >= 0 && strings.HasSuffix(symbol[:dot], instance+")")
}

// isGenericMethod reports whether the function around a literal is a method of values of a generic type. The symbol of
// one, T[...].m, looks like that of a function m which was inlined into a generic function T. That one is
// mostly on the call stack, since it uses the literal. In F[...].m of such a method that was inlined into a generic function,
// the runtime leaves T out.
func isGenericMethod(symbol string) bool {
	dot := strings.LastIndexByte(symbol, '.')
	if dot < 0 || !strings.HasSuffix(symbol[:dot], instance) {
		return false
	}
	outer := strings.TrimSuffix(symbol[:dot], instance)
	outer = "." + outer[strings.LastIndexByte(outer, '.')+1:] + instance
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, outer) {
			return false
		}
		if !more {
			return true
		}
	}
}

func qualify(pkg, name string) string {
	if pkg == "" {
		return name
	}
	return pkg + "." + name
}

func numbered(name string, line int) string {
	if line == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(line)
}
