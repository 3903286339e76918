package arch

import (
	"go/ast"
	"go/token"
)

// wellKnown methods say the same on every type; revive lets them off, too.
var wellKnown = map[string]bool{"Error": true, "String": true, "Unwrap": true, "ServeHTTP": true, "Read": true, "Write": true, "Len": true, "Less": true, "Swap": true}

// docs demands a comment on every exported name of a package that others can import.
func docs(s *source, report reporter) {
	if s.file.Name.Name == "main" {
		return
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			obvious := d.Recv != nil && wellKnown[d.Name.Name]
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !obvious {
				report(Doc, d.Pos(), "%s has no comment", d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				docsOf(d, report)
			}
		}
	}
}

// docsOf takes a comment on the group for one on each of its names, types aside.
func docsOf(d *ast.GenDecl, report reporter) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				report(Doc, spec.Pos(), "%s has no comment", spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					report(Doc, name.Pos(), "%s has no comment", name.Name)
				}
			}
		}
	}
}

// exportedReceiver: a method counts when others can name its type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
