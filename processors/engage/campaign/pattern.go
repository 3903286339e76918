package campaign

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
)

// Pattern is one kind of pattern; exactly one field is set.
type Pattern struct {
	Count     *Repeat
	Sequence  []Matcher
	Absence   *Absence
	Aggregate *Aggregate
	AllOf     []Matcher
	AnyOf     []Matcher
}

// Repeat asks for a number of equal events.
type Repeat struct {
	Of    Matcher
	Times int
}

// Absence asks that an event is not followed by another one within the trigger's Within.
type Absence struct {
	Of, Not Matcher
	// Restart says that another event like the first starts the time again.
	Restart bool
}

// Aggregate asks that a number over the events of the window rises to what Crossing says.
type Aggregate struct {
	Of       Matcher
	Field    predicate.Field
	Crossing trigger.Crossing
}

// Step is a matcher with the steps of the machine that its events may take.
type Step struct {
	Matcher
	Bits uint32
}

// Steps are all matchers of the pattern.
func (p *Pattern) Steps() []Step {
	var all []Step
	list := func(matchers []Matcher, shift int) {
		for i, m := range matchers {
			all = append(all, Step{m, 1 << (i * shift)})
		}
	}
	switch {
	case p.Count != nil:
		list([]Matcher{p.Count.Of}, 1)
	case p.Absence != nil:
		all = []Step{{p.Absence.Of, trigger.Arms}, {p.Absence.Not, trigger.Cancels}}
	case p.Aggregate != nil:
		list([]Matcher{p.Aggregate.Of}, 1)
	}
	list(p.Sequence, 1)
	list(p.AllOf, 1)
	list(p.AnyOf, 0) // each of them is the one event
	return all
}

// Machine is the pattern as it decides.
func (t *Trigger) Machine() trigger.Machine {
	m := trigger.Machine{Frame: t.Frame}
	switch p := &t.Pattern; {
	case p.Sequence != nil:
		m.Kind, m.Times = trigger.Sequence, len(p.Sequence)
	case p.AllOf != nil:
		m.Kind, m.Times = trigger.AllOf, len(p.AllOf)
	case p.Absence != nil:
		m.Kind, m.Times, m.Restart = trigger.Absence, 1, p.Absence.Restart
	case p.Aggregate != nil:
		m.Kind, m.Times, m.Crossing = trigger.Aggregate, 1, p.Aggregate.Crossing
	case p.AnyOf != nil:
		m.Kind, m.Times = trigger.Count, 1
	default:
		m.Kind, m.Times = trigger.Count, p.Count.Times
	}
	return m
}

// Name is the field that is set, as it is written: count, sequence, absence, aggregate, all_of or
// any_of.
func (p *Pattern) Name() string {
	switch {
	case p.Sequence != nil:
		return "sequence"
	case p.Absence != nil:
		return "absence"
	case p.Aggregate != nil:
		return "aggregate"
	case p.AllOf != nil:
		return "all_of"
	case p.AnyOf != nil:
		return "any_of"
	}
	return "count"
}

var (
	patternFields = []string{"count", "sequence", "absence", "aggregate", "all_of", "any_of"}
	matcherFields = []string{"event", "where"}
	functions     = []string{string(trigger.Sum), string(trigger.Distinct), string(trigger.Min), string(trigger.Max), string(trigger.Avg)}
)

// pattern reads the pattern of a trigger; false: there is none that could be read.
func (p *Pattern) read(o *object) bool {
	var there []string
	for _, name := range patternFields {
		if o.has(name) {
			there = append(there, name)
		}
	}
	switch {
	case len(there) > 1:
		o.fault(there[1], "is a second pattern beside "+there[0], "leave one, or write a campaign for each")
		return false
	case len(there) == 0:
		if !o.refused {
			o.need("count", "write count: {event: NAME, times: N}, or another of "+strings.Join(patternFields[1:], ", "))
		}
		return false
	}
	switch there[0] {
	case "count":
		count := o.object("count", []string{"event", "where", "times"}, nil)
		p.Count = &Repeat{Of: count.matcher()}
		if count.need("times", "write how many events complete the pattern, such as times: 3") {
			p.Count.Times = int(count.integer("times", 1, trigger.MaxTimes))
		}
	case "absence":
		p.readAbsence(o.object("absence", []string{"event", "where", "not", "restart"}, nil))
	case "aggregate":
		p.readAggregate(o.object("aggregate", append([]string{"event", "where", "is"}, functions...), nil))
	case "sequence":
		p.Sequence = o.matchers("sequence", 2)
		return p.Sequence != nil
	case "all_of":
		p.AllOf = o.matchers("all_of", 2)
		return p.AllOf != nil
	case "any_of":
		p.AnyOf = o.matchers("any_of", 1)
		return p.AnyOf != nil
	}
	return true
}

// matchers reads a list of {event, where} of at least so many, at most MaxSteps.
func (o *object) matchers(field string, least int) []Matcher {
	before := len(o.d.faults)
	var all []Matcher
	for _, m := range o.objects(field, matcherFields) {
		all = append(all, m.matcher())
	}
	if n := len(all); len(o.d.faults) == before && (n < least || n > trigger.MaxSteps) {
		o.fault(field, fmt.Sprintf("has %d entries", n), fmt.Sprintf("write %d to %d of {event: NAME}", least, trigger.MaxSteps))
	}
	return all
}

func (p *Pattern) readAbsence(o *object) {
	p.Absence = &Absence{Of: o.matcher(), Restart: o.flag("restart")}
	if o.need("not", "name the event that must not follow, such as not: {event: purchase}") {
		p.Absence.Not = o.object("not", matcherFields, nil).matcher()
	}
}

func (p *Pattern) readAggregate(o *object) {
	a := &Aggregate{Of: o.matcher()}
	p.Aggregate = a
	for _, f := range functions {
		if !o.has(f) {
			continue
		}
		if a.Crossing.Of != "" {
			o.fault(f, "is a second function beside "+string(a.Crossing.Of), "leave one")
			break
		}
		a.Crossing.Of = trigger.Function(f)
		a.Field = o.field(f)
	}
	if a.Crossing.Of == "" && !o.refused {
		o.need("sum", "write sum: event.FIELD, or another of "+strings.Join(functions[1:], ", "))
	}
	const example = `write a comparison with a number, such as is: "> 500"`
	if s := strings.TrimSpace(o.word("is", maxNameBytes, example)); s != "" {
		number := strings.TrimLeft(s, "<>=")
		a.Crossing.Compare = trigger.Comparison(strings.TrimSpace(s[:len(s)-len(number)]))
		var err error
		a.Crossing.Bound, err = strconv.ParseFloat(strings.TrimSpace(number), 64)
		known := a.Crossing.Compare == trigger.Above || a.Crossing.Compare == trigger.AtLeast || a.Crossing.Compare == trigger.Below || a.Crossing.Compare == trigger.AtMost
		if !known || err != nil || math.IsNaN(a.Crossing.Bound) || math.IsInf(a.Crossing.Bound, 0) {
			o.fault("is", fmt.Sprintf("%q compares with nothing", s), example+" (>, >=, < or <=)")
		}
	}
}

// flag reads a field that is true or false; false when it is not there.
func (o *object) flag(field string) bool {
	if !o.has(field) {
		return false
	}
	b, ok := o.fields[field].(*ast.BoolNode)
	if !ok {
		o.fault(field, "must be true or false", "write true or false")
		return false
	}
	return b.Value
}
