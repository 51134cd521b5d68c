package cachekey

import (
	"path"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// A Func says which function a func value is.
type Func struct {
	// Name is the function's identity in keys:
	//
	//	example.com/app/geo.LoadCity:42               a function, and the line where it begins
	//	example.com/app/geo.City.Offers:57            City.Offers and (*City).Offers alike
	//	example.com/app/geo.City.Offers               the method value city.Offers; its receiver can't be seen
	//	example.com/app/geo.Store.Load                Store.Load of an interface Store
	//	example.com/app/geo.Max[func(int,int)int]:12  an instance of a generic function
	//	example.com/app/geo.Box[int].Get:20           a method of an instance of a generic type
	//	example.com/app/geo.load.go:31                a func literal
	//
	// An edit above a function moves its line, so that its entries are no longer found; a name given
	// with decorators.Key stays. Functions of a main package are main.Load:42 in each program:
	// programs that share a cache tell their entries apart by the backend's key prefix.
	Name string

	Package  string // the path of the package where it is written
	File     string // as the compiler recorded it; empty where there is no source
	Line     int    // of the word func; 0 where there is no source
	Receiver bool   // it is a method expression: its first parameter is the receiver
	Literal  bool   // it is a func literal: all closures made by it share its Name
	Bound    bool   // it is a method value: those of all receivers share its Name
}

// FuncName returns the Name that Describe finds for fn.
func FuncName(fn any) (string, error) {
	f, err := Describe(fn)
	return f.Name, err
}

// Describe finds out what the func value fn is. The result is the same for each build of one
// source, with or without inlining, the race detector, -trimpath or a profile, with three limits:
//
//   - A literal that the compiler copied into another package, because the function around it was
//     inlined there, is traced to its own package by its file. That works for files of
//     dependencies, and with -trimpath for all; for those of the main module it takes a function
//     of that module on the call stack, and not "go run file.go". Where that fails, its
//     Package is the other one.
//   - Instances of a generic function whose types don't show in its signature share a Name, as do
//     literals in methods of instances of a generic type.
//   - A method expression (*T).m on an unexported method with a value receiver has no line.
//
// The error wraps cacheutils.ErrInvalidKey. It is non-nil if fn is no func or a nil one, or was
// made by reflect.MakeFunc or Value.Method, as decorated functions are: all of those look the
// same, so that only a name given by the programmer can tell them apart.
func Describe(fn any) (Func, error) {
	at, err := locate(reflect.ValueOf(fn))
	if err != nil {
		return Func{}, err
	}
	t := reflect.TypeOf(fn)
	pkg, symbol := splitSymbol(at.symbol)
	f := Func{Package: pkg, File: at.file, Line: at.line}
	if method, ok := strings.CutSuffix(symbol, "-fm"); ok {
		f.Bound = true
		f.Name = qualify(pkg, withInstance(stripPointer(method), t))
		return f, nil
	}
	if recv, method, ok := cutReceiver(pkg, symbol, t); ok {
		f.Receiver = true
		if f.Line == 0 {
			at := declaration(recv, method, map[reflect.Type]bool{})
			f.File, f.Line = at.file, at.line
		}
		f.Name = numbered(TypeName(recv)+"."+method, f.Line)
		return f, nil
	}
	if isLiteral(symbol) {
		f.Literal = true
		f.Package = packageOf(at.file, pkg)
		f.Name = numbered(qualify(f.Package, literalName(at.file, symbol, t)), f.Line)
		return f, nil
	}
	f.Name = numbered(qualify(pkg, withInstance(stripPointer(symbol), t)), f.Line)
	return f, nil
}

// locate returns the place of the func v, or an error for what has none of its own.
func locate(v reflect.Value) (place, error) {
	if v.Kind() != reflect.Func {
		return place{}, invalid("%s is no func", describe(v))
	}
	if v.IsNil() {
		return place{}, invalid("a nil %s has no name", v.Type())
	}
	at := placeOf(v.Pointer())
	switch at.symbol {
	case "":
		return at, invalid("a %s of which the runtime knows no name; name it with decorators.Key", v.Type())
	case "reflect.makeFuncStub":
		return at, invalid("a %s made by reflect.MakeFunc, as decorated functions are, looks like any other; name it with decorators.Key", v.Type())
	case "reflect.methodValueCall":
		return at, invalid("a %s made by reflect's Method looks like any other; name it with decorators.Key", v.Type())
	}
	return at, nil
}

// instance is what the runtime puts in the place of type arguments.
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
// the rest. For methods of anonymous types, like go:struct{...}.M, there is no path.
func splitSymbol(symbol string) (pkg, rest string) {
	if rest, ok := strings.CutPrefix(symbol, "go:"); ok {
		return "", rest
	}
	slash := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[slash:], '.')
	if dot < 0 {
		return "", symbol
	}
	return escapeName(symbol[:slash+dot]), symbol[slash+dot+1:]
}

// cutReceiver tells a method expression by its name, Type.Method, and its first parameter, which
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
	return recv, method, bare == name && generic == wasGeneric && escapeName(recv.PkgPath()) == pkg
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

// isLiteral reports whether the compiler made up the name: F.func1, init.func2, T.M.func1.2,
// F.gowrap1, F-range1.
func isLiteral(symbol string) bool { return trimLiterals(symbol) != symbol }

// trimLiterals takes the made-up elements from the end of a symbol, so that what remains is the
// function around the literal.
func trimLiterals(symbol string) string {
	for {
		dot := strings.LastIndexByte(symbol, '.')
		if dot <= 0 || strings.HasSuffix(symbol, instance) {
			return symbol
		}
		last := symbol[dot+1:]
		for _, made := range []string{"func", "gowrap", "deferwrap"} {
			last = strings.TrimPrefix(last, made)
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

// withInstance puts the func's type in the place of type arguments.
func withInstance(symbol string, t reflect.Type) string {
	return strings.Replace(escapeName(symbol), instance, "["+TypeName(t)+"]", 1)
}

// literalName returns the name of a literal in its package: the base of its file, and the func's type
// where the function around it is generic.
func literalName(file, symbol string, t reflect.Type) string {
	name := escapeName(path.Base(strings.ReplaceAll(file, `\`, "/")))
	if strings.HasSuffix(trimLiterals(symbol), instance) {
		name += "[" + TypeName(t) + "]"
	}
	return name
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
