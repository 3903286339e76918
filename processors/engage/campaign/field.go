package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/dwellhq/dwell/processors/engage/predicate"
)

// object is a YAML mapping while it is read.
type object struct {
	d      *document
	path   string
	line   int
	fields map[string]ast.Node
	// refused says that a field was there that is not taken; void that there is no mapping at all,
	// so that nothing in it is missed.
	refused, void bool
}

// object reads a mapping whose fields are known, or part of the format but later: not built yet.
// A later field that says nothing (null, empty text, [], {}, 0s) is passed over.
func (d *document) object(n ast.Node, path string, known, later []string) *object {
	o := &object{d: d, path: path, line: d.line(n), fields: map[string]ast.Node{}}
	before := len(d.faults)
	defer func() { o.refused = len(d.faults) > before }()
	pairs, ok := d.pairs(n, path)
	o.void = !ok
	for _, kv := range pairs {
		key := kv.Key.GetToken().Value
		line, at := d.line(kv.Key), join(path, key)
		switch {
		case slices.Contains(known, key):
			o.fields[key] = nil // there, but of no use
			if d.plain(kv.Value, at) {
				o.fields[key] = kv.Value
			}
		case slices.Contains(later, key):
			if !empty(kv.Value) {
				d.fault(line, at, "not supported yet: "+key, "take it out")
			}
		default:
			d.fault(line, at, fmt.Sprintf("unknown field %q", key), closest(key, slices.Concat(known, later)))
		}
	}
	return o
}

// mapping reads what must be a mapping.
func (d *document) mapping(n ast.Node, path string, known []string) *object {
	o := d.object(n, path, known, nil)
	if o.void && !o.refused {
		d.fault(o.line, path, "is empty", "write fields, such as name: value")
	}
	return o
}

// pairs are the entries of a mapping; false: there is none.
func (d *document) pairs(n ast.Node, path string) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, false
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	d.fault(d.line(n), path, "must be a mapping", "write fields, such as name: value")
	return nil, false
}

// plain refuses what a campaign file has no use for.
func (d *document) plain(n ast.Node, path string) bool {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.DirectiveNode:
		d.fault(d.line(n), path, "anchors, aliases and tags are not taken", "write the value out")
		return false
	}
	return true
}

// empty says whether a value says nothing.
func empty(n ast.Node) bool {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return true
	case *ast.StringNode:
		return n.Value == "" || n.Value == "0s"
	case *ast.MappingNode:
		return len(n.Values) == 0
	case *ast.SequenceNode:
		return len(n.Values) == 0
	}
	return false
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// fault notes a fault of a field.
func (o *object) fault(field, what, do string) {
	line := o.line
	if n := o.fields[field]; n != nil {
		line = o.d.line(n)
	}
	o.d.fault(line, join(o.path, field), what, do)
}

// has says whether a field is there with a value.
func (o *object) has(field string) bool {
	n := o.fields[field]
	_, null := n.(*ast.NullNode)
	return n != nil && !null
}

// need notes a fault when a field is not there.
func (o *object) need(field, do string) bool {
	if o.has(field) {
		return true
	}
	n, refused := o.fields[field]
	if refused = refused && n == nil; !refused && !o.void {
		o.fault(field, "missing", do)
	}
	return false
}

// word reads a field that must be there and hold text.
func (o *object) word(field string, limit int, do string) string {
	if !o.need(field, do) {
		return ""
	}
	if s, ok := text(o.fields[field]); ok && s == "" {
		o.fault(field, "is empty", do)
	}
	return o.text(field, limit)
}

// object reads a field that is a mapping.
func (o *object) object(field string, known, later []string) *object {
	sub := o.d.object(o.fields[field], join(o.path, field), known, later)
	if !o.has(field) {
		sub.line = o.line
	}
	return sub
}

// objects reads a field that is a list of mappings.
func (o *object) objects(field string, known []string) []*object {
	if !o.has(field) {
		return nil
	}
	list, ok := o.fields[field].(*ast.SequenceNode)
	if !ok {
		o.fault(field, "must be a list", "write [...] or lines that start with -")
		return nil
	}
	var all []*object
	for i, n := range list.Values {
		if at := fmt.Sprintf("%s[%d]", join(o.path, field), i); o.d.plain(n, at) {
			all = append(all, o.d.mapping(n, at, known))
		}
	}
	return all
}

// text reads a field that is text of at most limit bytes; empty when it is not there.
func (o *object) text(field string, limit int) string {
	if !o.has(field) {
		return ""
	}
	s, ok := text(o.fields[field])
	if !ok {
		o.fault(field, "must be text", "put it in quotes")
		return ""
	}
	if len(s) > limit {
		o.fault(field, fmt.Sprintf("has %d bytes, at most %d are taken", len(s), limit), "shorten it")
		return ""
	}
	return s
}

func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// choice reads a field that is one word of known; a later one is not built yet. Without the field
// it is the first of known.
func (o *object) choice(field string, known, later []string) string {
	if !o.has(field) {
		return known[0]
	}
	s, ok := text(o.fields[field])
	switch {
	case !ok:
		o.fault(field, "must be a word", "write "+oneOf(known))
	case slices.Contains(known, s):
		return s
	case slices.Contains(later, s):
		o.fault(field, "not supported yet: "+s, "write "+oneOf(known))
	default:
		o.fault(field, fmt.Sprintf("%q is not known", s), closest(s, slices.Concat(known, later)))
	}
	return known[0]
}

// integer reads a field that is a whole number from low to high; 0 when it is not there.
func (o *object) integer(field string, low, high int64) int64 {
	if !o.has(field) {
		return 0
	}
	v, err := strconv.ParseInt(o.fields[field].GetToken().Value, 10, 64)
	if _, ok := o.fields[field].(*ast.IntegerNode); !ok || err != nil || v < low || v > high {
		o.fault(field, "must be a whole number", fmt.Sprintf("write one from %d to %d", low, high))
		return 0
	}
	return v
}

// span reads a field that is a duration, from zero to MaxSpan; zero when it is not there.
func (o *object) span(field string) time.Duration {
	if !o.has(field) {
		return 0
	}
	s, ok := text(o.fields[field])
	if !ok {
		o.fault(field, "must be a duration", "write a number with its unit, such as 10m, 24h, 30s or 7d")
		return 0
	}
	d, err := parseSpan(s)
	if err != nil {
		o.fault(field, err.Error(), "write a number with its unit, such as 10m, 24h, 30s or 7d")
		return 0
	}
	return d
}

// parseSpan is time.ParseDuration with days before the rest, in whole milliseconds.
func parseSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration", s)
	var total time.Duration
	days, rest, hasDays := strings.Cut(s, "d")
	if hasDays {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total, s = time.Duration(n)*24*time.Hour, rest
	}
	if !hasDays || s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > MaxSpan {
			return 0, bad
		}
		total += d
	}
	switch {
	case total%time.Millisecond != 0:
		return 0, fmt.Errorf("%q is no whole number of milliseconds", s)
	case total > MaxSpan:
		return 0, fmt.Errorf("%d days are more than %d", total/(24*time.Hour), MaxSpan/(24*time.Hour))
	}
	return total, nil
}

// field reads a field of an event.
func (o *object) field(name string) predicate.Field {
	const do = "name one of the event's properties, such as event.amount"
	s := o.word(name, maxNameBytes, do)
	if s == "" {
		return predicate.Field{}
	}
	f, err := predicate.ParseField(s)
	if err != nil {
		o.fault(name, err.Error(), do)
	}
	return f
}
