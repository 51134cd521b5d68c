package cachekey

import "github.com/cacheutils/cacheutils/internal/funcname"

// FuncName returns the identity of the function fn in keys:
//
//	example.com/app/geo.LoadCity:42               a function, and the line where it begins
//	example.com/app/geo.City.Offers:57            City.Offers and (*City).Offers alike
//	example.com/app/geo.City.Offers               the method value city.Offers; its receiver can't be seen
//	example.com/app/geo.Store.Load                Store.Load of an interface Store
//	example.com/app/geo.Max[func(int,int)int]:12  an instance of a generic function
//	example.com/app/geo.Box[int].Get:20           a method of an instance of a generic type
//	example.com/app/geo.load.go:31                a func literal
//
// An edit above a function moves its line, so that its entries are no longer found; a name given with
// decorators.Key stays. Package main is called by the path of the program's package, as in
// example.com/app/cmd/shop.Load:42, in the names of functions and of types. A program that was built from a list of
// files, or without modules, doesn't know that: its functions are main.Load:42, as those of other such programs.
//
// The result is the same for each build of one source, with or without inlining, the race
// detector, -trimpath or a profile, with these limits:
//
//   - A literal that the compiler copied into another package, because the function around it was
//     inlined there, is traced to its own package by its file. That works for files of
//     dependencies, and with -trimpath for all; for those of the main module it takes a function
//     of that module on the call stack, and not "go run file.go". Where that fails, the name has
//     the other package.
//   - Instances of a generic function or type whose types don't show in the signature share a name, as do all closures
//     that one literal makes, and method values of all receivers. Package decorators refuses the second
//     closure and instance, and each method value, unless the user names them.
//   - A literal in a generic function, or in a method of a generic type, has its type in its name,
//     geo.load.go[func(int)geo.City]:31. Where the function around a literal is inlined into another one, which is generic,
//     it can't always be told whether it is generic itself: a literal of a plain function has its type, too, if it is
//     named after that other one has returned, and a literal of a method of values has not, if it is named before.
//   - A type argument that is declared in a function has a number in the name, as in geo.Find[func(int)geo.row·3]:12,
//     which an edit above it may change.
//   - A method expression (*T).m on an unexported method with a value receiver has no line.
//
// The error wraps cacheutils.ErrInvalidKey. It is non-nil if fn is not a func, is a nil one, or was made by
// reflect.MakeFunc or Value.Method, as decorated functions are: all of those look the same, so that only a name
// given by the programmer distinguishes them.
func FuncName(fn any) (string, error) {
	f, err := funcname.Describe(fn)
	return f.Name, err
}
