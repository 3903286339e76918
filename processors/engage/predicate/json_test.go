package predicate

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"testing"
)

// parseOracle is ParseValue by encoding/json alone.
func parseOracle(raw []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || len(bytes.TrimSpace(raw[d.InputOffset():])) > 0 {
		return nil, false
	}
	return plainNumbers(v), true
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		return f
	case map[string]any:
		for k, w := range v {
			v[k] = plainNumbers(w)
		}
	case []any:
		for i, w := range v {
			v[i] = plainNumbers(w)
		}
	}
	return v
}

var jsonSeeds = []string{
	`{"amount":12.5,"result":"win","n":7,"deep":{"a":[1,"x",null,true,false,{}],"b":[]}}`, ` { "a" : 1 , "a" : 2 } `, `{}`, `[]`, `[[],[1]]`, `"x"`, `7`, `-0`, `1e999`, `-1E-2`,
	`9223372036854775807`, `9223372036854775808`, `null`, `true`, `{"a\u0062\"c":"\ud83d\ude00\n","é":"ü"}`, `{"bad":"\ud800"}`, "{\"x\":\"\xff\"}",
	``, ` `, `{`, `{"a"}`, `{"a":1} x`, `nul`, `01`, "\"\x01\"", `{"a":1,}`, `[1,]`, "\u00a0{}", "{}\u00a0\u0085 ",
}

func FuzzValuesReadAsEncodingJSONReadsThem(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := ParseValue(raw)
		want, wantOK := parseOracle(raw)
		if ok != wantOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v %v, encoding/json says %#v %v", raw, got, ok, want, wantOK)
		}
	})
}

func BenchmarkParseValue(b *testing.B) {
	raw := []byte(`{"amount":37.5,"result":"win","page":"/sports/football/118","currency":"GBP"}`)
	b.ReportAllocs()
	for b.Loop() {
		ParseValue(raw)
	}
}
