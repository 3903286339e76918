package campaign

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

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
