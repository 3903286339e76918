package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dwellhq/dwell/processors/engage/trigger"
)

var triggerFields = []string{"pattern", "until", "contiguity", "within", "window", "after_match", "time", "allowed_lateness", "correlate"}

// read reads the trigger.
func (t *Trigger) read(o *object) {
	o.need("pattern", "write pattern: {count: {event: NAME, times: N}}")
	p := o.object("pattern", patternFields, nil)
	kind := ""
	if t.Pattern.read(p) {
		kind = t.Pattern.Name()
	}
	for _, m := range o.objects("until", matcherFields) {
		t.Until = append(t.Until, m.matcher())
	}
	t.Frame.Strict = o.choice("contiguity", []string{"relaxed", "strict"}, nil) == "strict"
	t.Frame.Within = o.span("within")
	o.window(&t.Frame)
	t.Clock = trigger.Clock(o.choice("time", []string{string(trigger.EventTime), string(trigger.IngestTime)}, nil))
	t.Frame.AfterMatch = trigger.AfterMatch(o.choice("after_match", []string{string(trigger.SkipPastLast), string(trigger.SkipToNext)}, nil))
	t.Frame.AllowedLateness = DefaultAllowedLateness
	if o.has("allowed_lateness") {
		t.Frame.AllowedLateness = o.span("allowed_lateness")
	}
	if o.has("correlate") {
		if s, ok := text(o.fields["correlate"]); !ok || s != "" {
			t.Correlate = o.field("correlate")
		}
	}
	if kind != "" {
		t.suits(o, kind)
	}
}

// suits notes a fault for what a kind of pattern needs or has no use for.
func (t *Trigger) suits(o *object, kind string) {
	one := kind == "any_of" || t.Pattern.Count != nil && t.Pattern.Count.Times <= 1
	useless := func(field string, used bool) {
		if !used {
			o.fault(field, "does nothing for "+kind, "take it out")
		}
	}
	useless("contiguity", !t.Frame.Strict || kind == "count" || kind == "sequence")
	useless("window", t.Frame.Window == "" || kind != "absence" && kind != "any_of")
	useless("after_match", !o.has("after_match") || kind != "absence" && kind != "aggregate" && kind != "any_of")
	useless("correlate", t.Correlate.String() == "" || kind != "any_of")
	switch {
	case !one && !o.has("within"):
		o.fault("within", "missing", "write how long a match may last, such as within: 10m")
	case t.Frame.Within == 0 && !o.refused && (kind == "absence" || t.Frame.Window == trigger.Tumbling):
		o.fault("within", "is no time", "write how long to wait, or how long a window is, such as within: 10m")
	}
}

// window reads sliding, tumbling or {session: GAP}. Sliding is left empty.
func (o *object) window(f *trigger.Frame) {
	switch n := o.fields["window"].(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		sub := o.d.object(n, join(o.path, "window"), []string{"session"}, nil)
		switch {
		case sub.refused:
		case !sub.has("session"):
			o.fault("window", "is empty", "write sliding")
		default:
			f.Window, f.Gap = trigger.Session, sub.span("session")
		}
	default:
		s, _ := text(n)
		switch {
		case s == string(trigger.Session):
			o.fault("window", "a session needs its longest pause", "write window: {session: 5m}")
		case o.choice("window", []string{string(trigger.Sliding), string(trigger.Tumbling), string(trigger.Session)}, nil) == string(trigger.Tumbling):
			f.Window = trigger.Tumbling
		}
	}
}

// hash is the first 8 bytes of SHA-256 over what a user's progress depends on. Parts that a count
// with a sliding window does not have come last, so that its hash is what it ever was.
func (t *Trigger) hash() uint64 {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	matcher := func(m Matcher) { part(m.Event); part(m.Where.String()) }
	part(t.Pattern.Name())
	steps := t.Pattern.Steps()
	if t.Pattern.Count == nil {
		part(strconv.Itoa(len(steps)))
	}
	for _, s := range steps {
		matcher(s.Matcher)
	}
	part(strconv.Itoa(len(t.Until)))
	for _, m := range t.Until {
		matcher(m)
	}
	part(map[bool]string{false: "relaxed", true: "strict"}[t.Frame.Strict])
	window := t.Frame.Window
	if window == "" {
		window = trigger.Sliding
	}
	part(string(window))
	part(string(t.Frame.AfterMatch))
	part(string(t.Clock))
	if a := t.Pattern.Aggregate; a != nil {
		part(strings.Join([]string{string(a.Crossing.Of), a.Field.String()}, " "))
	}
	if t.Correlate.String() != "" {
		part("correlate " + t.Correlate.String())
	}
	if t.StartsOver {
		m := t.Machine()
		part(fmt.Sprintf("reset %d %v %v %v %s %v %v", m.Times, m.Within, m.Gap, m.AllowedLateness, m.Crossing.Compare, m.Crossing.Bound, m.Restart))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
