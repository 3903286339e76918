package predicate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Properties are an event's properties, bytes until the first predicate asks for a field, and what is
// known of its user. They belong to one goroutine.
type Properties struct {
	raw  []byte
	user User
	// What was read: plain members where the object has no others, else all as a map. Neither: nothing yet.
	plain  []property
	isRead bool
	parsed map[string]any
}

// User is what is known of a user.
type User interface {
	// Field is one thing that is known: nil, bool, int64, float64, string, []any or map[string]any;
	// false: it is not. It says the same as long as the Properties are in use.
	Field(name string) (any, bool)
}

// Of adds what is known of the user, and returns the properties; without it nothing is known.
func (p *Properties) Of(u User) *Properties {
	p.user = u
	return p
}

// NewProperties takes a JSON object, or nothing.
func NewProperties(raw []byte) *Properties { return &Properties{raw: raw} }

// Reset makes them the properties of another event, whose user is unknown. raw must stay as it is while
// they are in use; nothing that they say lies in it.
func (p *Properties) Reset(raw []byte) {
	clear(p.plain)
	*p = Properties{raw: raw, plain: p.plain[:0]}
}

// fields are the properties by name: nil, bool, int64, float64, string, []any or map[string]any.
func (p *Properties) fields() map[string]any {
	if p.parsed == nil {
		p.parsed = parseObject(p.raw)
	}
	return p.parsed
}

// read finds the members, if that was not done yet, and says whether they are plain.
func (p *Properties) read() bool {
	if !p.isRead {
		p.isRead = true
		if all, ok := members(p.raw, p.plain[:0]); ok {
			p.plain = all
		} else {
			p.plain, p.parsed = p.plain[:0], parseObject(p.raw)
		}
	}
	return p.parsed == nil
}

// find is a plain member; nil: there is none. Of a name that comes twice, the last one counts.
func (p *Properties) find(name string) *property {
	for i := len(p.plain) - 1; i >= 0; i-- {
		if m := &p.plain[i]; string(p.raw[m.name:m.nameEnd]) == name {
			return m
		}
	}
	return nil
}

// one is one property; missing: it is not there.
func (p *Properties) one(name string) any {
	if p.read() {
		if m := p.find(name); m != nil {
			return m.of(p.raw)
		}
		return missing
	}
	if v, ok := p.parsed[name]; ok {
		return v
	}
	return missing
}

// parseObject reads a JSON object; what is none has no fields.
func parseObject(raw []byte) map[string]any {
	if m, ok := ParseValue(raw); ok {
		if m, ok := m.(map[string]any); ok {
			return m
		}
	}
	return map[string]any{}
}

// adapter shows properties to CEL. Unlike CEL's own, its maps run in the order of their keys, so
// that a condition decides the same wherever and whenever it runs.
type adapter struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		return sortedMap{types.NewStringInterfaceMap(a, v), v}
	case []any:
		return types.NewDynamicList(a, v)
	}
	return a.Adapter.NativeToValue(v)
}

func adapt(fields map[string]any) ref.Val {
	return adapter{types.DefaultTypeAdapter}.NativeToValue(fields)
}

// sortedMap is a map that runs in the order of its keys.
type sortedMap struct {
	traits.Mapper
	fields map[string]any
}

// Iterator implements traits.Iterable.
func (m sortedMap) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, slices.Sorted(maps.Keys(m.fields))).Iterator()
}

// Field is one of an event's properties, written event.FIELD or event.FIELD.FIELD. The zero value
// is none.
type Field struct {
	source string
	path   field
}

// String is the field as written; empty for none.
func (f Field) String() string { return f.source }

// Number is the field's value; false where it is no number or not there.
func (f Field) Number(props *Properties) (float64, bool) {
	if f.source == "" {
		return 0, false
	}
	switch v := f.path.of(props).(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// Value is the field's value as JSON, equal numbers alike; false where it is no text, number or
// truth value, or not there.
func (f Field) Value(props *Properties) (string, bool) {
	if f.source == "" {
		return "", false
	}
	v := f.path.of(props)
	switch n := v.(type) {
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			v = int64(n)
		}
	case string, bool, int64:
	default:
		return "", false
	}
	b, err := json.Marshal(v)
	return string(b), err == nil
}

// ParseField reads event.FIELD or event.FIELD.FIELD; an error says that it is none.
func ParseField(s string) (Field, error) {
	names := strings.Split(s, ".")
	if names[0] != "event" || len(names) < 2 {
		return Field{}, fmt.Errorf("%q is no field of the event", s)
	}
	for _, n := range names[1:] {
		if !Name(n) {
			return Field{}, fmt.Errorf("%q is no field of the event", s)
		}
	}
	return Field{s, names}, nil
}

// Name says whether a name may follow a dot in a condition, as NAME in user.NAME.
func Name(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
