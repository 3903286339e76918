// Package predicate decides conditions over an event's properties and what is known of its user: CEL
// goes in, compiled once, and for each event a yes or no comes out. Plain comparisons run as Go
// closures, the rest in CEL.
package predicate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Limits of a predicate.
const (
	// MaxBytes bounds a predicate's text.
	MaxBytes = 4 << 10
	// maxCost is where CEL gives up on a predicate, in CEL's own units; one comparison of
	// fields costs about 3.
	maxCost = 100_000
)

// Predicate is a condition over an event's properties and its user, in CEL: event.result == "win" or
// user.country == "GB". The zero value is true of every event. It may be used by many goroutines.
//
// A predicate that fails is false: one that reads a missing field, compares what has no order, is
// no truth value, or costs too much. As in CEL, a failed side of && or || does not matter where the
// other side decides. An event whose properties are no JSON object has no field. Numbers compare
// by value, whatever their form.
type Predicate struct {
	source string
	// closure, if there is one, decides as program does, without its cost.
	closure closure
	program cel.Program
	// users are the names of the user's fields that it reads, sorted.
	users []string
}

// UserFields are the names of the user's fields that the predicate reads, sorted: of user.a.b it is a.
func (p Predicate) UserFields() []string { return p.users }

// String is the predicate as written.
func (p Predicate) String() string { return p.source }

// Matches says whether the predicate is true of an event with these properties.
func (p Predicate) Matches(props *Properties) bool {
	switch {
	case p.source == "":
		return true
	case p.closure != nil:
		return p.closure(props) == yes
	}
	return p.evaluate(props)
}

// evaluate asks CEL.
func (p Predicate) evaluate(props *Properties) bool {
	known := map[string]any{}
	for _, name := range p.users {
		if props.user == nil {
			break
		}
		if v, ok := props.user.Field(name); ok {
			known[name] = v
		}
	}
	out, _, err := p.program.Eval(map[string]any{"event": ref.Val(adapt(props.fields())), "user": ref.Val(adapt(known))})
	return err == nil && out == types.True
}

// Compile checks a predicate and makes it ready. Its error says what is wrong with it.
func Compile(source string) (Predicate, error) { return compile(source, conditions) }

// CompileUser is Compile for a predicate that is decided without an event: it may read the user only.
func CompileUser(source string) (Predicate, error) { return compile(source, userConditions) }

func compile(source string, in *cel.Env) (Predicate, error) {
	checked, issues := in.Compile(source)
	if issues.Err() != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("column %d: %s", e.Location.Column()+1, strings.Join(strings.Fields(e.Message), " ")))
		}
		return Predicate{}, errors.New("is no condition: " + strings.Join(all, "; "))
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return Predicate{}, fmt.Errorf("is of type %s and not true or false", t)
	}
	expr := checked.NativeRep().Expr()
	if hasMap(expr) {
		return Predicate{}, errors.New("not supported yet: maps in a condition") // their order is not fixed
	}
	users, err := userFields(expr)
	if err != nil {
		return Predicate{}, err
	}
	program, err := in.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return Predicate{}, fmt.Errorf("is no condition: %w", err)
	}
	p := Predicate{source: source, program: program, users: users}
	if c, ok := closureOf(expr); ok {
		p.closure = c
	}
	return p, nil
}

func hasMap(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) { found = found || e.Kind() == ast.MapKind }))
	return found
}

// userFields are the user's fields that a condition reads. They must stand there by name: rows keep
// only those that something names.
func userFields(e ast.Expr) ([]string, error) {
	var names []string
	idents, named := 0, 0
	isUser := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "user" }
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case isUser(e):
			idents++
		case e.Kind() == ast.SelectKind && isUser(e.AsSelect().Operand()):
			names, named = append(names, e.AsSelect().FieldName()), named+1
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index && isUser(e.AsCall().Args()[0]):
			if key, ok := literalOf(e.AsCall().Args()[1]); ok {
				if s, ok := key.(string); ok {
					names, named = append(names, s), named+1
				}
			}
		}
	}))
	if idents != named {
		return nil, errors.New("reads the user other than by name: write user.NAME")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// conditions is what every predicate is compiled in, userConditions those without an event; they are
// never changed.
var (
	conditions     = newConditions("event", "user")
	userConditions = newConditions("user")
)

func newConditions(names ...string) *cel.Env {
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
	}
	for _, n := range names {
		options = append(options, cel.Variable(n, cel.MapType(cel.StringType, cel.DynType)))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic("predicate: CEL options: " + err.Error())
	}
	return env
}
