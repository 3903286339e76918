package arch

import (
	"go/ast"
	"go/token"
	"path"
	"strconv"
)

// impureImports are packages, with all below them, that pure code may not import.
var impureImports = []string{"context", "sync", "os", "net", "log", "io", "math/rand", "crypto/rand", "database/sql", "runtime", "syscall", "unsafe"}

// pureImports are exceptions: they handle values and touch nothing.
var pureImports = map[string]bool{"net/url": true, "net/netip": true}

// clockCalls are the functions of package time that read a clock or wait.
var clockCalls = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Sleep": true, "Tick": true, "NewTimer": true, "NewTicker": true,
}

func purity(s *source, report reporter) {
	for _, im := range s.file.Imports {
		target, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			continue // the parser has made sure
		}
		for _, bad := range impureImports {
			if below(target, bad) && !pureImports[target] {
				report(Purity, im.Pos(), "a pure package imports %s", target)
			}
		}
		if target == "time" && im.Name != nil && im.Name.Name == "." {
			report(Purity, im.Pos(), "a pure package imports time without its name")
		}
	}
	clock := localNames(s.file, "time")
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.GoStmt:
			report(Purity, x.Pos(), "a pure package starts a goroutine")
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			report(Purity, x.Pos(), "a pure package uses a channel")
		case *ast.UnaryExpr:
			if x.Op == token.ARROW {
				report(Purity, x.Pos(), "a pure package uses a channel")
			}
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok && clock[id.Name] && clockCalls[x.Sel.Name] {
				report(Purity, x.Pos(), "a pure package reads the clock: time.%s", x.Sel.Name)
			}
		}
		return true
	})
}

// localNames are the names under which a file knows a package of the standard library.
func localNames(f *ast.File, target string) map[string]bool {
	out := map[string]bool{}
	for _, im := range f.Imports {
		switch {
		case im.Path.Value != strconv.Quote(target):
		case im.Name != nil:
			out[im.Name.Name] = true
		default:
			out[path.Base(target)] = true
		}
	}
	return out
}

// habits are the rules that hold everywhere, tests included.
func habits(s *source, report reporter) {
	if s.generated {
		return
	}
	clock := localNames(s.file, "time")
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			report(Init, f.Pos(), "no func init: what a program needs, its main says")
		}
	}
	if !s.test || len(clock) == 0 {
		return
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := x.X.(*ast.Ident); ok && clock[id.Name] && x.Sel.Name == "Sleep" {
				report(Sleep, x.Pos(), "a test waits on a condition with a deadline, or moves a clock")
			}
		}
		return true
	})
}
