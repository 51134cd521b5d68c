package cachekey

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
//   - compiled with -trimpath, a file's name begins with the path of its package;
//   - files of dependencies lie in a folder named after the module and its version;
//   - files of the main module lie below its root, which a function of the module on the call
//     stack gives away: its file ends like the path of its package.
//
// If none of these says anything, the package in the compiler's name is taken.

// packageOf returns the path of the package that file belongs to, named if it isn't found out.
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

var buildInfo = sync.OnceValue(func() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
})

// trimmedPackage returns the package of a folder whose name -trimpath made from it.
func trimmedPackage(dir string) string {
	if strings.HasPrefix(dir, "/") || strings.HasPrefix(dir, ".") || strings.Contains(dir, ":") {
		return ""
	}
	module, rest, ok := strings.Cut(dir, "@")
	if !ok {
		return dir
	}
	_, rest, _ = strings.Cut(rest, "/")
	return path.Join(module, rest)
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

// moduleRoot returns the root of the main module if frame is a declared function of it. Unlike
// literals, those are always compiled under the name of their own package.
func moduleRoot(frame runtime.Frame, info *debug.BuildInfo) (string, bool) {
	pkg, symbol := splitSymbol(frame.Function)
	if pkg == "" || isLiteral(symbol) {
		return "", false
	}
	if pkg == "main" {
		pkg = info.Path
	}
	below, ok := strings.CutPrefix(pkg, info.Main.Path)
	if !ok || below != "" && below[0] != '/' {
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
