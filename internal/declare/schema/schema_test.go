package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// faults checks a value against a schema; a small part of JSON schema, written for this test.
func faults(root, n *Node, at string, v any) []string {
	if n.Ref != "" {
		return faults(root, anchor(root, strings.TrimPrefix(n.Ref, "#")), at, v)
	}
	if len(n.AnyOf) > 0 {
		var first []string
		for _, way := range n.AnyOf {
			f := faults(root, way, at, v)
			if len(f) == 0 {
				return nil
			}
			first = append(first, f...)
		}
		return first
	}
	if n.Enum != nil && !slices.ContainsFunc(n.Enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		return []string{fmt.Sprintf("%s: %v is none of %v", at, v, n.Enum)}
	}
	switch n.Type {
	case "object":
		return objectFaults(root, n, at, v)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return []string{at + ": no list"}
		}
		var all []string
		for i, item := range list {
			all = append(all, faults(root, n.Items, fmt.Sprintf("%s[%d]", at, i), item)...)
		}
		return all
	case "string":
		if s, ok := v.(string); !ok || n.Pattern != "" && !regexp.MustCompile(n.Pattern).MatchString(s) {
			return []string{fmt.Sprintf("%s: %v", at, v)}
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return []string{fmt.Sprintf("%s: %v", at, v)}
		}
	case "integer":
		f, ok := v.(float64)
		if !ok || f != float64(int64(f)) || n.Minimum != nil && int64(f) < *n.Minimum || n.Maximum != nil && int64(f) > *n.Maximum {
			return []string{fmt.Sprintf("%s: %v", at, v)}
		}
	}
	return nil
}

func objectFaults(root, n *Node, at string, v any) []string {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{at + ": no object"}
	}
	var all []string
	for k, f := range m {
		if n.Properties[k] == nil {
			all = append(all, at+"."+k+": unknown")
			continue
		}
		all = append(all, faults(root, n.Properties[k], at+"."+k, f)...)
	}
	for _, k := range n.Required {
		if _, ok := m[k]; !ok {
			all = append(all, at+"."+k+": missing")
		}
	}
	return all
}

func anchor(n *Node, name string) *Node {
	if n == nil || n.Anchor == name {
		return n
	}
	for _, sub := range append(append([]*Node{n.Items}, n.AnyOf...), values(n.Properties)...) {
		if found := anchor(sub, name); found != nil {
			return found
		}
	}
	return nil
}

func values(m map[string]*Node) []*Node {
	var all []*Node
	for _, n := range m {
		all = append(all, n)
	}
	return all
}

// printed is the schema of campaigns as users get it.
func printed(t *testing.T) *Node { return printedOf(t, Campaign) }

func printedOf(t *testing.T, of func() (*Node, error)) *Node {
	t.Helper()
	n, err := of()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back Node
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func documents(t *testing.T, source []byte) []any {
	t.Helper()
	var all []any
	for _, doc := range regexp.MustCompile(`(?m)^---.*$`).Split(string(source), -1) {
		if strings.TrimSpace(regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(doc, "")) == "" {
			continue
		}
		var v any
		if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := json.Unmarshal(b, &plain); err != nil {
			t.Fatal(err)
		}
		all = append(all, plain)
	}
	return all
}

func TestEveryGoodFileOfTheRepositoryFitsTheSchema(t *testing.T) {
	schemas := map[any]*Node{"Campaign": printed(t), "Audience": printedOf(t, Audience), "Trait": printedOf(t, Trait)}
	n := 0
	for _, glob := range []string{"../../../examples/campaigns/*.yaml", "../../../processors/engage/testdata/campaigns/*.yaml"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			source, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, doc := range documents(t, source) {
				n++
				schema := schemas[doc.(map[string]any)["kind"]]
				if got := faults(schema, schema, "", doc); len(got) > 0 {
					t.Errorf("%s: %v", f, got)
				}
			}
		}
	}
	if n < 3 {
		t.Errorf("only %d files were checked", n)
	}
}

// good is a file that uses what the schema says of each kind of field.
const good = `{apiVersion: dwell/v1, kind: Campaign, metadata: {name: a, tags: [x]}, spec: {state: live,
  trigger: {pattern: {count: {event: page, where: 'event.a == 1', times: 2}}, until: [{event: out}], within: 1d12h, window: sliding},
  reentry: {mode: cooldown, every: 24h}, audience: {include: [vip], check: [send]}, on_edit: reset, priority: -5, slot: s, response: {expire_after: 30s},
  channels: [{type: popup, content: x}]}}`

func TestParserAndSchemaAgree(t *testing.T) {
	schema := printed(t)
	if got := faults(schema, schema, "", documents(t, []byte(good))[0]); len(got) > 0 {
		t.Fatalf("a good file: %v", got)
	}
	if _, err := campaign.Parse("good", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"an unknown field":      {"slot: s", "slott: s"},
		"a missing name":        {"name: a, ", ""},
		"a missing state":       {"state: live,", ""},
		"an unknown state":      {"state: live", "state: alive"},
		"a wrong version":       {"dwell/v1", "dwell/v2"},
		"no number":             {"priority: -5", "priority: high"},
		"a number out of range": {"priority: -5", "priority: 1001"},
		"a fraction":            {"times: 2", "times: 2.5"},
		"no duration":           {"expire_after: 30s", "expire_after: soon"},
		"a list that is none":   {"[{event: out}]", "{event: out}"},
		"text that is none":     {"slot: s", "slot: [s]"},
		"an unknown channel":    {"type: popup", "type: pigeon"},
		"no content":            {", content: x", ""},
		"a field of a matcher":  {"{event: out}", "{event: out, wher: x}"},
		"an unknown mode":       {"mode: cooldown", "mode: never"},
		"not built yet":         {"on_edit: reset", "on_edit: replay"},
		"a field of audience":   {"check: [send]", "checks: [send]"},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Fatalf("%s: the edit finds nothing", name)
		}
		if _, err := campaign.Parse("bad", []byte(bad)); err == nil {
			t.Errorf("%s: the parser takes it", name)
		}
		if got := faults(schema, schema, "", documents(t, []byte(bad))[0]); len(got) == 0 {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

func TestSchemaNamesTheFieldsOfAFile(t *testing.T) {
	n := printed(t)
	spec := n.Properties["spec"]
	for _, f := range []string{"state", "trigger", "reentry", "response", "priority", "slot", "channels", "on_edit"} {
		if spec.Properties[f] == nil {
			t.Errorf("spec.%s is not there", f)
		}
	}
	if p := spec.Properties["priority"]; p.Type != "integer" || *p.Minimum != -1000 || *p.Maximum != 1000 {
		t.Errorf("priority is %+v", p)
	}
	if c := spec.Properties["trigger"].Properties["pattern"].Properties["count"]; c == nil || !slices.Contains(c.Required, "event") || !slices.Contains(c.Required, "times") {
		t.Errorf("count is %+v", c)
	}
	if n.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %q", n.Schema)
	}
}

func TestTraitsAndAudiencesHaveASchemaOfTheirOwn(t *testing.T) {
	trait, audience := printedOf(t, Trait), printedOf(t, Audience)
	for source, want := range map[string]struct {
		schema *Node
		fine   bool
	}{
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {event: bet, where: 'event.a > 1', compute: sum, field: event.amount, over: 7d, pane: 6h}}`: {trait, true},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {event: bet, compute: decayed, half_life: 7d}}`:                                             {trait, true},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {keep: true}}`:                                                                              {trait, true},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {event: bet, compute: summ}}`:                                                               {trait, false},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {event: bet, compute: count, over: long}}`:                                                  {trait, false},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {name: a}, spec: {keep: yes please}}`:                                                                        {trait, false},
		`{apiVersion: dwell/v1, kind: Trait, metadata: {}, spec: {keep: true}}`:                                                                                     {trait, false},
		`{apiVersion: dwell/v1, kind: Audience, metadata: {name: a}, spec: {list: true}}`:                                                                           {audience, true},
		`{apiVersion: dwell/v1, kind: Audience, metadata: {name: a}, spec: {where: 'user.a == 1'}}`:                                                                 {audience, true},
		`{apiVersion: dwell/v1, kind: Audience, metadata: {name: a}, spec: {list: all}}`:                                                                            {audience, false},
		`{apiVersion: dwell/v1, kind: Audience, metadata: {name: a}, spec: {member: [a]}}`:                                                                          {audience, false},
	} {
		if got := faults(want.schema, want.schema, "", documents(t, []byte(source))[0]); (len(got) == 0) != want.fine {
			t.Errorf("%s: the schema says %v", source, got)
		}
		if _, err := campaign.ParseFile("f", []byte(source)); (err == nil) != want.fine {
			t.Errorf("%s: the parser says %v", source, err)
		}
	}
}
