package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Properties are an event's properties: bytes until the first predicate asks for a field.
// They belong to one goroutine.
type Properties struct {
	raw    []byte
	parsed map[string]any
}

// NewProperties takes a JSON object, or nothing.
func NewProperties(raw []byte) *Properties { return &Properties{raw: raw} }

// fields are the properties by name: nil, bool, int64, float64, string, []any or map[string]any.
func (p *Properties) fields() map[string]any {
	if p.parsed == nil {
		p.parsed = parseObject(p.raw)
	}
	return p.parsed
}

// parseObject reads a JSON object; what is none has no fields.
func parseObject(raw []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil || m == nil || len(bytes.TrimSpace(raw[d.InputOffset():])) > 0 {
		return map[string]any{}
	}
	return number(m).(map[string]any)
}

// number turns json.Number into int64 where it is a whole number that fits, else into float64.
func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64) // out of range is ±Inf
		return f
	case map[string]any:
		for k, w := range v {
			v[k] = number(w)
		}
	case []any:
		for i, w := range v {
			v[i] = number(w)
		}
	}
	return v
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
	switch v := f.path.of(props.fields()).(type) {
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
	v := f.path.of(props.fields())
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

// field reads a field of an event.
func (o *object) field(name string) Field {
	const do = "name one of the event's properties, such as event.amount"
	s := o.word(name, maxNameBytes, do)
	if s == "" {
		return Field{}
	}
	names := strings.Split(s, ".")
	if names[0] != "event" || len(names) < 2 {
		o.fault(name, fmt.Sprintf("%q is no field of the event", s), do)
		return Field{}
	}
	for _, n := range names[1:] {
		if !identifier(n) {
			o.fault(name, fmt.Sprintf("%q is no field of the event", s), do)
			return Field{}
		}
	}
	return Field{s, names[1:]}
}

// identifier says whether a name may follow a dot in a condition.
func identifier(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
