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
	`{"a":1,"b":"x","c":true,"d":false,"e":null,"f":-1.5e+3,"a":"again"}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, `{"a":tru}`, `{"a":"x}`, `{"a":1 "b":2}`, `{"a" 1}`,
	`{"a":+1}`, `{"a":.5}`, `{"a":-0.0E-7 ,"":0}`, `{,}`, `{"a":1}}`, "{\"a\":\"\x1f\"}", "{\"a\":\"\x7f\"}",
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
		fields, _ := want.(map[string]any)
		p := NewProperties([]byte(`{"of":"another event","n":1}`))
		if p.one("of") != "another event" {
			t.Error("a text is not found")
		}
		p.Reset(raw)
		for name, v := range fields {
			if got := p.one(name); !reflect.DeepEqual(got, v) {
				t.Errorf("%q: %q is %#v, encoding/json says %#v", raw, name, got, v)
			}
			lit, isText := v.(string)
			if same, known := (field{"event", name}).text(p, lit); known && (!isText || !same) {
				t.Errorf("%q: %q is no text %q", raw, name, lit)
			}
			if same, known := (field{"event", name}).text(p, lit+"x"); known && same {
				t.Errorf("%q: %q is a text %qx", raw, name, lit)
			}
		}
		if got := p.one("of"); fields["of"] == nil && got != missing && got != nil {
			t.Errorf("%q: a field of the event before is %#v", raw, got)
		}
		if p.read() && !wantOK {
			t.Errorf("%q: is read as plain members, encoding/json says it is no JSON", raw)
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
