package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// unknown is a word that no campaign file knows, and like none that one does.
const unknown = "zzqqzzqqzzqq"

// maxDepth bounds how deep the format may nest, besides patterns in patterns.
const maxDepth = 14

// path leads from the document to a value: names of fields, and 0 for the first entry of a list.
type path []any

// String is the path as faults name it.
func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch s := s.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s)
		default:
			b.WriteString("[0]")
		}
	}
	return b.String()
}

func (p path) to(step any) path { return append(slices.Clone(p), step) }

// holder is an object on the way to a value, for patterns that hold patterns.
type holder struct {
	fields []string
	node   *Node
}

// prober asks the parser about one kind of documents.
type prober struct {
	kind  string
	above []holder
}

func newProber(kind string) *prober { return &prober{kind: kind} }

func (p *prober) document() (*Node, error) {
	n, err := p.describe(nil)
	if err == nil && (n == nil || n.Type != "object" || !slices.Contains(n.Fields(), "spec")) {
		err = errors.New("schema: the parser's faults do not tell what a document holds")
	}
	return n, err
}

// ask parses a document with the value at the path and returns its faults by path. Unless asked about
// it, the document says its kind.
func (p *prober) ask(at path, value any) (map[string][]*campaign.Fault, error) {
	for _, step := range slices.Backward(at) {
		if name, ok := step.(string); ok {
			value = map[string]any{name: value}
		} else {
			value = []any{value}
		}
	}
	if root, ok := value.(map[string]any); ok && len(at) > 0 && at[0] != "kind" {
		root["kind"] = p.kind
	}
	source, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("schema: ask about %s: %w", at, err)
	}
	faults := map[string][]*campaign.Fault{}
	_, err = campaign.ParseFile("schema", source)
	var walk func(error)
	walk = func(err error) {
		if f, ok := errors.AsType[*campaign.Fault](err); ok {
			if many, joined := err.(interface{ Unwrap() []error }); joined {
				for _, e := range many.Unwrap() {
					walk(e)
				}
				return
			}
			faults[f.Path] = append(faults[f.Path], f)
		}
	}
	walk(err)
	return faults, nil
}

// what finds the fault of a path whose text starts so.
func what(faults []*campaign.Fault, start string) *campaign.Fault {
	for _, f := range faults {
		if strings.HasPrefix(f.What, start) {
			return f
		}
	}
	return nil
}

// describe asks which values the place takes.
func (p *prober) describe(at path) (*Node, error) {
	if len(at) > maxDepth {
		return nil, fmt.Errorf("schema: %s: nests too deep", at)
	}
	object, err := p.ask(at, map[string]any{unknown: 1})
	if err != nil {
		return nil, err
	}
	number, err := p.ask(at, 12345.5)
	if err != nil {
		return nil, err
	}
	word, err := p.ask(at, unknown)
	if err != nil {
		return nil, err
	}
	here := at.String()
	if what(object[here], "not supported yet") != nil && what(number[here], "not supported yet") != nil {
		return &Node{Description: "not built yet: leave it empty", Enum: []any{nil, "", "0s", []any{}, map[string]any{}}}, nil
	}
	var ways []*Node
	if f := what(object[at.to(unknown).String()], "unknown field"); f != nil {
		n, err := p.object(at, words(f.Do))
		if err != nil {
			return nil, err
		}
		ways = append(ways, n)
	}
	n, err := p.plain(at, number[here], word[here])
	if err != nil {
		return nil, err
	}
	if n != nil {
		ways = append(ways, n)
	}
	switch len(ways) {
	case 0:
		return &Node{}, nil // anything: the parser says more than a schema can
	case 1:
		return ways[0], nil
	}
	return &Node{AnyOf: ways}, nil
}

// plain describes a place that takes a list or a single value; nil: none.
func (p *prober) plain(at path, number, word []*campaign.Fault) (*Node, error) {
	if what(number, "must be a list") != nil {
		item, err := p.describe(at.to(0))
		return &Node{Type: "array", Items: item}, err
	}
	if f := what(number, "must be a whole number"); f != nil {
		n := &Node{Type: "integer"}
		var low, high int64
		if _, err := fmt.Sscanf(f.Do, "write one from %d to %d", &low, &high); err == nil {
			n.Minimum, n.Maximum = &low, &high
		}
		return n, nil
	}
	if what(number, "must be a duration") != nil {
		return &Node{Type: "string", Pattern: `^([0-9]+d)?([0-9.]+(ms|s|m|h))*$`, Description: "a number with its unit, such as 30s, 10m, 24h or 7d"}, nil
	}
	for _, f := range [2]*campaign.Fault{what(number, "must be a word"), what(word, strconv.Quote(unknown)+" is not known")} {
		if f == nil {
			continue
		}
		n := &Node{Type: "string"}
		for _, w := range words(f.Do) {
			if good, err := p.ask(at, w); err != nil {
				return nil, err
			} else if len(good[at.String()]) == 0 {
				n.Enum = append(n.Enum, w)
			}
		}
		return n, nil
	}
	if what(number, "must be true or false") != nil {
		return &Node{Type: "boolean"}, nil
	}
	if what(number, "must be text") != nil {
		return &Node{Type: "string"}, nil
	}
	return nil, nil
}

// object describes a mapping with these fields.
func (p *prober) object(at path, fields []string) (*Node, error) {
	slices.Sort(fields)
	for _, h := range p.above {
		if slices.Equal(h.fields, fields) {
			h.node.Anchor = "pattern-" + strconv.Itoa(len(h.fields))
			return &Node{Ref: "#" + h.node.Anchor}, nil
		}
	}
	closed := false
	n := &Node{Type: "object", Properties: map[string]*Node{}, Additional: &closed}
	p.above = append(p.above, holder{fields, n})
	defer func() { p.above = p.above[:len(p.above)-1] }()
	var err error
	for _, f := range fields {
		if n.Properties[f], err = p.describe(at.to(f)); err != nil {
			return nil, err
		}
	}
	n.Required, err = p.required(at, fields)
	return n, err
}

// required are the fields that are missing from an empty object, and still are when any other one is
// there: of several of which one must be there, as the kinds of a pattern, none is required.
func (p *prober) required(at path, fields []string) ([]string, error) {
	empty, err := p.ask(at, map[string]any{})
	if err != nil {
		return nil, err
	}
	missing := func(faults map[string][]*campaign.Fault, f string) bool {
		return what(faults[at.to(f).String()], "missing") != nil
	}
	var all []string
	for _, f := range fields {
		needed := missing(empty, f)
		for _, other := range fields {
			if !needed || other == f {
				continue
			}
			for _, value := range []any{12345.5, true} {
				with, err := p.ask(at, map[string]any{other: value})
				if err != nil {
					return nil, err
				}
				needed = needed && missing(with, f)
			}
		}
		if needed {
			all = append(all, f)
		}
	}
	return all, nil
}

// words are those that a fault says to write.
func words(do string) []string {
	list := strings.TrimPrefix(strings.TrimPrefix(do, "write "), "one of ")
	return strings.Split(list, ", ")
}
