package funcname

import (
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"unicode"
)

// Where a func literal is written. The compiler names a literal after the function that it was
// compiled in; when the function around the literal is inlined elsewhere, that is another one,
// possibly of another package. Its file stays the same, so the package is found from that:
//
//   - compiled with -trimpath or for coverage, a file's name begins with the path of its package;
//   - files of dependencies lie in a folder named after the module and its version;
//   - files of the main module lie below its root, which a function of the module on the call
//     stack reveals: its file ends like the path of its package.
//
// If none of these applies, the package is the one in the compiler's name.

// packageOf returns the path of the package that file belongs to, or named if that isn't found.
func packageOf(file, named string) string {
	file = strings.ReplaceAll(file, `\`, "/")
	dir := path.Dir(file)
	found := trimmedPackage(dir)
	if found == "" {
		found = dependencyPackage(dir)
	}
	if found == "" {
		found = mainModulePackage(dir)
	}
	info := buildInfo()
	switch {
	case found == "":
		return named
	case found == info.Path && named == "main":
		return named
	case found+"_test" == named && strings.HasSuffix(file, "_test.go"):
		return named // a test package of its own in the same folder
	}
	return found
}

// buildInfo is a variable for the tests.
var buildInfo = sync.OnceValue(func() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
})

// trimmedPackage returns the package of a folder that is named after it, with the module's version
// in between, as -trimpath and the coverage tool do.
func trimmedPackage(dir string) string {
	if module, rest, ok := strings.Cut(dir, "@"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		dir = path.Join(module, rest)
	}
	info := buildInfo()
	if info.Main.Path != "" && isBelow(dir, info.Main.Path) {
		return dir
	}
	for _, dep := range info.Deps {
		if isBelow(dir, dep.Path) {
			return dir
		}
	}
	return ""
}

// isBelow reports whether the package is the root of the module or below it.
func isBelow(pkg, module string) bool {
	return pkg == module || strings.HasPrefix(pkg, module+"/")
}

// dependencyPackage returns the package of a folder in the module cache or a vendor folder.
func dependencyPackage(dir string) string {
	if _, vendored, ok := cutLast(dir, "/vendor/"); ok {
		return vendored
	}
	if !strings.Contains(dir, "@") {
		return ""
	}
	for _, dep := range buildInfo().Deps {
		used := dep
		if dep.Replace != nil {
			used = dep.Replace
		}
		_, rest, ok := cutLast(dir+"/", "/"+escapeModule(used.Path)+"@"+escapeModule(used.Version)+"/")
		if ok {
			return path.Join(dep.Path, rest)
		}
	}
	return ""
}

// escapeModule writes a module path as the module cache does: capitals as ! and a small letter.
func escapeModule(module string) string {
	var b strings.Builder
	for _, r := range module {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// mainModulePackage returns the package of a folder of the main module, if a function on the
// call stack shows where that module lies.
func mainModulePackage(dir string) string {
	info := buildInfo()
	if info.Main.Path == "" {
		return ""
	}
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if root, ok := moduleRoot(frame, info); ok {
			if rest, ok := strings.CutPrefix(dir+"/", root+"/"); ok {
				return path.Join(info.Main.Path, rest)
			}
		}
		if !more {
			return ""
		}
	}
}

// moduleRoot returns the root of the main module if frame is a function of it whose file ends like the
// path of its package. A literal's may be that of another package, so that it must end like more
// than the module's own path.
func moduleRoot(frame runtime.Frame, info *debug.BuildInfo) (string, bool) {
	pkg, symbol := splitSymbol(frame.Function)
	if pkg == "main" {
		pkg = info.Path
	}
	if !isBelow(pkg, info.Main.Path) {
		return "", false
	}
	below := strings.TrimPrefix(pkg, info.Main.Path)
	if below == "" && isLiteral(symbol) {
		return "", false
	}
	dir := path.Dir(strings.ReplaceAll(frame.File, `\`, "/"))
	if strings.HasSuffix(dir, below) {
		return strings.TrimSuffix(dir, below), true
	}
	// A test package of its own lies in the folder of the package that it tests.
	below = strings.TrimSuffix(below, "_test")
	return strings.TrimSuffix(dir, below), strings.HasSuffix(dir, below)
}
