// Package arch checks the rules that design.md and style.md set for the source: who may import whom,
// what pure code may not touch, and how long things may be. What enters is a tree of Go files; what
// leaves is every violation with its file and line.
package arch

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Violation is one broken rule.
type Violation struct {
	File string
	Line int
	// Rule is one of the constants below.
	Rule Rule
	Text string
}

// String is file:line: rule: text.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.File, v.Line, v.Rule, v.Text)
}

// Rule names what was broken.
type Rule string

// The rules.
const (
	Direction  Rule = "direction"   // an import against the layout's direction, or beside it
	ThirdParty Rule = "third-party" // an import of a module that this room may not use
	Purity     Rule = "purity"      // I/O, a clock, a goroutine or a channel in a pure room
	FileSize   Rule = "file-size"
	FuncSize   Rule = "func-size"
	Crowd      Rule = "crowd" // too many files in a package
	Doc        Rule = "doc"   // an exported name, or a package, without a comment
	Init       Rule = "init"
	Sleep      Rule = "sleep"
	Room       Rule = "room" // a folder that the layout does not have
)

// source is one parsed Go file.
type source struct {
	name      string // slash-separated, from the root
	dir       string
	test      bool
	generated bool
	file      *ast.File
	fset      *token.FileSet
}

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// Check reads every Go file below the root of fsys and returns the violations by file and line. An
// error means that the tree could not be read or that a file is no Go.
func Check(fsys fs.FS, l Layout) ([]Violation, error) {
	files, err := read(fsys)
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, s := range files {
		report := func(rule Rule, pos token.Pos, format string, a ...any) {
			out = append(out, Violation{s.name, s.line(pos), rule, fmt.Sprintf(format, a...)})
		}
		l.imports(s, report)
		habits(s, report)
		if s.generated || s.test {
			continue
		}
		sizes(s, report)
		docs(s, report)
		if room := l.room(s.dir); room != nil && room.Pure {
			purity(s, report)
		}
	}
	out = append(out, packages(files)...)
	slices.SortFunc(out, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return out, nil
}

// read parses the tree. As the go command does, it leaves out testdata, and folders whose names
// begin with a dot or an underscore; modules within the module are others' business.
func read(fsys fs.FS) ([]*source, error) {
	var out []*source
	fset := token.NewFileSet()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(fsys, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, b, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, &source{
			name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(f), file: f, fset: fset,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	return out, nil
}

// enter says whether a folder is read.
func enter(fsys fs.FS, dir string) error {
	base := path.Base(dir)
	switch {
	case dir == ".":
		return nil
	case base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules" || base == "vendor":
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); !errors.Is(err, fs.ErrNotExist) {
		return fs.SkipDir
	}
	return nil
}
