package arch

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
)

// Limits; tests and generated files are free of them.
const (
	MaxFileLines    = 400
	MaxFuncLines    = 70
	MaxPackageFiles = 12
)

func sizes(s *source, report reporter) {
	if n := s.fset.File(s.file.FileStart).LineCount(); n > MaxFileLines {
		report(FileSize, s.file.FileStart, "%d lines, at most %d", n, MaxFileLines)
	}
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > MaxFuncLines {
			report(FuncSize, f.Pos(), "%s has %d lines, at most %d", f.Name.Name, n, MaxFuncLines)
		}
	}
}

// packages holds what is said of a package as a whole: how many files it has, and that one of them
// says what it is.
func packages(files []*source) []Violation {
	byDir := map[string][]*source{}
	for _, s := range files {
		if !s.test && !s.generated {
			byDir[s.dir] = append(byDir[s.dir], s)
		}
	}
	var out []Violation
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		list := byDir[dir]
		if len(list) > MaxPackageFiles {
			out = append(out, Violation{list[MaxPackageFiles].name, 1, Crowd, fmt.Sprintf("%d files in %s, at most %d", len(list), dir, MaxPackageFiles)})
		}
		if !slices.ContainsFunc(list, func(s *source) bool { return s.file.Doc != nil }) {
			out = append(out, Violation{list[0].name, list[0].line(list[0].file.Package), Doc, "no file says what package " + list[0].file.Name.Name + " is"})
		}
	}
	return out
}
