package predicate

import (
	"math"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// truth is what a condition comes to.
type truth uint8

const (
	no truth = iota
	yes
	// failed: a field is missing, or values do not go together.
	failed
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// closure is a plain condition compiled to Go. It decides exactly as CEL does.
type closure func(p *Properties) truth

// closureOf compiles == != < <= > >= in && || ! over fields and literals; false: the condition
// needs CEL.
func closureOf(e ast.Expr) (closure, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		b, ok := e.AsLiteral().(types.Bool)
		return func(*Properties) truth { return truthOf(bool(b)) }, ok
	case ast.SelectKind:
		f, ok := fieldOf(e)
		return func(p *Properties) truth {
			if b, ok := f.of(p).(bool); ok {
				return truthOf(b)
			}
			return failed
		}, ok
	case ast.CallKind:
		call := e.AsCall()
		switch name := call.FunctionName(); name {
		case operators.LogicalAnd:
			return joined(call.Args(), no)
		case operators.LogicalOr:
			return joined(call.Args(), yes)
		case operators.LogicalNot:
			return negated(call.Args())
		case operators.In:
			return member(call.Args())
		default:
			return compared(name, call.Args())
		}
	default:
		return nil, false
	}
}

// joined is && (no decides) or || (yes decides): the deciding side decides even when another fails.
func joined(args []ast.Expr, decides truth) (closure, bool) {
	var all []closure
	for _, a := range args {
		c, ok := closureOf(a)
		if !ok {
			return nil, false
		}
		all = append(all, c)
	}
	return func(p *Properties) truth {
		outcome := yes + no - decides
		for _, c := range all {
			switch c(p) {
			case decides:
				return decides
			case failed:
				outcome = failed
			default: // the other side decides nothing yet
			}
		}
		return outcome
	}, true
}

func negated(args []ast.Expr) (closure, bool) {
	c, ok := closureOf(args[0])
	return func(p *Properties) truth {
		switch c(p) {
		case yes:
			return no
		case no:
			return yes
		default:
			return failed
		}
	}, ok
}

// member is "field in [literals]".
func member(args []ast.Expr) (closure, bool) {
	f, ok := fieldOf(args[0])
	if !ok || args[1].Kind() != ast.ListKind {
		return nil, false
	}
	var wanted []any
	for _, e := range args[1].AsList().Elements() {
		v, ok := literalOf(e)
		if !ok {
			return nil, false
		}
		wanted = append(wanted, v)
	}
	return func(p *Properties) truth {
		v := f.of(p)
		if v == missing {
			return failed
		}
		for _, w := range wanted {
			if equal(v, w) {
				return yes
			}
		}
		return no
	}, true
}

// mirrored is the comparison that says the same with its sides exchanged.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

// compared is "field op literal" or "literal op field".
func compared(op string, args []ast.Expr) (closure, bool) {
	if mirrored[op] == "" {
		return nil, false
	}
	f, ok := fieldOf(args[0])
	right := args[1]
	if !ok {
		if f, ok = fieldOf(args[1]); !ok {
			return nil, false
		}
		op, right = mirrored[op], args[0]
	}
	lit, ok := literalOf(right)
	if !ok {
		return nil, false
	}
	if op == operators.Equals || op == operators.NotEquals {
		text, isText := lit.(string)
		return func(p *Properties) truth {
			if isText {
				if same, known := f.text(p, text); known {
					return truthOf(same == (op == operators.Equals))
				}
			}
			v := f.of(p)
			if v == missing {
				return failed
			}
			return truthOf(equal(v, lit) == (op == operators.Equals))
		}, true
	}
	return func(p *Properties) truth {
		sign, ok := order(f.of(p), lit)
		if !ok {
			return failed
		}
		switch op {
		case operators.Less:
			return truthOf(sign < 0)
		case operators.LessEquals:
			return truthOf(sign <= 0)
		case operators.Greater:
			return truthOf(sign > 0)
		}
		return truthOf(sign >= 0)
	}, true
}

// field is a path that begins with event or user.
type field []string

// missingField is the type of missing.
type missingField struct{}

// missing stands for a field that is not there; JSON has a null of its own.
var missing any = missingField{}

func (f field) of(p *Properties) any {
	if f[0] == "user" {
		if p.user == nil {
			return missing
		}
		v, ok := p.user.Field(f[1])
		if !ok {
			return missing
		}
		for _, name := range f[2:] {
			sub, _ := v.(map[string]any)
			if v, ok = sub[name]; !ok {
				return missing
			}
		}
		return v
	}
	v := p.one(f[1])
	for _, name := range f[2:] {
		sub, _ := v.(map[string]any)
		var ok bool
		if v, ok = sub[name]; !ok {
			return missing
		}
	}
	return v
}

// text compares the field with a text without making one of it; known is false where that cannot be done.
func (f field) text(p *Properties, lit string) (same, known bool) {
	if len(f) != 2 || f[0] != "event" || !p.read() {
		return false, false
	}
	m := p.find(f[1])
	if m == nil || m.kind != '"' {
		return false, false
	}
	return string(p.raw[m.from:m.to]) == lit, true
}

// fieldOf reads event.a.b or user.a.b.
func fieldOf(e ast.Expr) (field, bool) {
	var path field
	for e.Kind() == ast.SelectKind {
		s := e.AsSelect()
		if s.IsTestOnly() {
			return nil, false
		}
		path = append(field{s.FieldName()}, path...)
		e = s.Operand()
	}
	if len(path) == 0 || e.Kind() != ast.IdentKind {
		return nil, false
	}
	root := e.AsIdent()
	return append(field{root}, path...), root == "event" || root == "user"
}

// literalOf reads null, a truth value, a number or a text.
func literalOf(e ast.Expr) (any, bool) {
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	switch v := e.AsLiteral().(type) {
	case types.Null:
		return nil, true
	case types.Bool:
		return bool(v), true
	case types.Int:
		return int64(v), true
	case types.Double:
		return float64(v), !math.IsNaN(float64(v))
	case types.String:
		return string(v), true
	}
	return nil, false
}

// equal compares a field's value with a literal; values of different kinds are different.
func equal(v, lit any) bool {
	switch lit := lit.(type) {
	case nil:
		return v == nil
	case bool:
		b, ok := v.(bool)
		return ok && b == lit
	case string:
		s, ok := v.(string)
		return ok && s == lit
	}
	sign, ok := order(v, lit)
	return ok && sign == 0
}

// order compares a field's value with a literal; false: they have no order.
func order(v, lit any) (int, bool) {
	switch lit := lit.(type) {
	case bool:
		b, ok := v.(bool)
		return int(truthOf(b)) - int(truthOf(lit)), ok
	case string:
		s, ok := v.(string)
		return sign(s < lit, s > lit), ok
	case int64:
		switch n := v.(type) {
		case int64:
			return sign(n < lit, n > lit), true
		case float64:
			return orderMixed(n, lit), true
		}
	case float64:
		switch n := v.(type) {
		case int64:
			return -orderMixed(lit, n), true
		case float64:
			return sign(n < lit, n > lit), true
		}
	}
	return 0, false
}

// orderMixed compares as CEL does: out of an integer's range by range, else as floats.
func orderMixed(f float64, n int64) int {
	switch {
	case f < math.MinInt64:
		return -1
	case f > math.MaxInt64:
		return 1
	}
	return sign(f < float64(n), f > float64(n))
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}
