package campaign

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Limits of a predicate.
const (
	// MaxPredicateBytes bounds a predicate's text.
	MaxPredicateBytes = 4 << 10
	// maxPredicateCost is where CEL gives up on a predicate, in CEL's own units; one comparison of
	// fields costs about 3.
	maxPredicateCost = 100_000
)

// Predicate is a condition over an event's properties, in CEL: event.result == "win". The zero
// value is true of every event. It may be used by many goroutines.
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
}

// String is the predicate as written.
func (p Predicate) String() string { return p.source }

// Matches says whether the predicate is true of an event with these properties.
func (p Predicate) Matches(props *Properties) bool {
	switch {
	case p.source == "":
		return true
	case p.closure != nil:
		return p.closure(props.fields()) == yes
	}
	return p.evaluate(props)
}

// evaluate asks CEL.
func (p Predicate) evaluate(props *Properties) bool {
	out, _, err := p.program.Eval(map[string]any{"event": ref.Val(adapt(props.fields()))})
	return err == nil && out == types.True
}

// compile checks a predicate and makes it ready.
func compile(source string) (Predicate, error) {
	checked, issues := conditions.Compile(source)
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
	program, err := conditions.Program(checked, cel.CostLimit(maxPredicateCost))
	if err != nil {
		return Predicate{}, fmt.Errorf("is no condition: %w", err)
	}
	p := Predicate{source: source, program: program}
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

// conditions is what every predicate is compiled in; it is never changed.
var conditions = newConditions()

func newConditions() *cel.Env {
	env, err := cel.NewEnv(
		cel.Variable("event", cel.MapType(cel.StringType, cel.DynType)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
	)
	if err != nil {
		panic("campaign: CEL options: " + err.Error())
	}
	return env
}
