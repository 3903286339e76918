package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fields are the entries of a mapping, in order. It is never changed.
type fields []fieldValue

type fieldValue struct {
	name string
	// value is text, a number, a truth value, a span, fields, or a list of them.
	value any
}

// with sets a field, at its place if it is there.
func (f fields) with(name string, value any) fields {
	f = slices.Clone(f)
	if i := f.find(name); i >= 0 {
		f[i].value = value
		return f
	}
	return append(f, fieldValue{name, value})
}

func (f fields) without(name string) fields {
	return slices.DeleteFunc(slices.Clone(f), func(v fieldValue) bool { return v.name == name })
}

func (f fields) get(name string) any {
	if i := f.find(name); i >= 0 {
		return f[i].value
	}
	return nil
}

func (f fields) find(name string) int {
	return slices.IndexFunc(f, func(v fieldValue) bool { return v.name == name })
}

// YAML is the campaign's document, as a campaign file holds it: print it, and dwell apply takes it. It is
// checked as Build checks it. The same calls give the same bytes.
func (b Builder) YAML() ([]byte, error) {
	c, err := b.Build()
	if err != nil {
		return nil, err
	}
	return c.Source, nil
}

// Build checks the campaign as if it came from a file. An error joins a Fault for each thing that is
// wrong; instead of a file and a line each names the call that brought it in.
func (b Builder) Build() (*Campaign, error) {
	var out bytes.Buffer
	block(&out, b.document(), 0)
	title := fmt.Sprintf("campaign.New(%q)", b.name)
	all, err := Parse(title, out.Bytes())
	if err != nil {
		return nil, called(err, calls)
	}
	return all[0], nil
}

// written is what a document of one kind declares once it is written and checked. constructor and name say
// who wrote it, and by are the calls that bring in its fields.
func written(kind, constructor, name string, spec fields, by []call) (*File, error) {
	var out bytes.Buffer
	block(&out, fields{{"apiVersion", "dwell/v1"}, {"kind", kind}, {"metadata", fields{{"name", name}}}, {"spec", spec}}, 0)
	f, err := ParseFile(fmt.Sprintf("campaign.%s(%q)", constructor, name), out.Bytes())
	if err != nil {
		return nil, called(err, by)
	}
	return f, nil
}

// document is the whole campaign.
func (b Builder) document() fields {
	meta := fields{{"name", b.name}}
	if len(b.tags) > 0 {
		meta = meta.with("tags", words(b.tags))
	}
	spec := fields{{"state", string(b.state)}}
	if len(b.audience) > 0 {
		spec = spec.with("audience", b.audience)
	}
	experiment := b.experiment
	if len(b.variants) > 0 {
		experiment = experiment.with("variants", b.variants)
	}
	spec = append(spec, b.spec...)
	for _, part := range []struct {
		name  string
		value fields
	}{{"response", b.response}, {"experiment", experiment}} {
		if len(part.value) > 0 {
			spec = spec.with(part.name, part.value)
		}
	}
	if len(b.caps) > 0 {
		spec = spec.with("caps", b.caps)
	}
	if len(b.conversions) > 0 {
		spec = spec.with("conversion", fields{{"events", b.conversions}})
	}
	if len(b.channels) > 0 {
		spec = spec.with("channels", b.channels)
	}
	return fields{{"apiVersion", "dwell/v1"}, {"kind", CampaignKind}, {"metadata", meta}, {"spec", spec}}
}

func words(all []string) []any {
	list := make([]any, len(all))
	for i, w := range all {
		list[i] = w
	}
	return list
}

// block writes a mapping, an entry a line; a mapping within it goes below its name.
func block(out *bytes.Buffer, f fields, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, v := range f {
		name := scalar(v.name)
		switch value := v.value.(type) {
		case fields:
			fmt.Fprintf(out, "%s%s:\n", indent, name)
			block(out, value, depth+1)
		case []any:
			if len(value) == 0 {
				fmt.Fprintf(out, "%s%s: []\n", indent, name)
				continue
			}
			fmt.Fprintf(out, "%s%s:\n", indent, name)
			for _, item := range value {
				fmt.Fprintf(out, "%s  - %s\n", indent, strings.TrimLeft(entry(item, depth+2), " "))
			}
		default:
			fmt.Fprintf(out, "%s%s: %s\n", indent, name, scalar(value))
		}
	}
}

// entry is an entry of a list, without the line's end.
func entry(item any, depth int) string {
	f, ok := item.(fields)
	if !ok {
		return scalar(item)
	}
	var out bytes.Buffer
	block(&out, f, depth)
	return strings.TrimSuffix(out.String(), "\n")
}

// plain is text that YAML takes for text without quotes.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// scalar is a value as YAML writes it: text in JSON's quotes, unless it is a plain word.
func scalar(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case time.Duration:
		return span(v)
	}
	s := fmt.Sprint(v)
	reserved := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if plain.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	if !utf8.ValidString(s) {
		return s // the validator refuses the whole document for it
	}
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("campaign: text that JSON does not take: " + err.Error()) // it takes every text
	}
	return strings.TrimSuffix(quoted.String(), "\n")
}

// span is a duration as a file writes it: 24h, not 24h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// trimZeros takes the zeros at the end of a decimal number away.
func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// call is a method and the path of the field that it brings in.
type call struct{ path, call string }

// calls are the methods that bring a field of a campaign in, the longer path first.
var calls = []call{
	{"metadata.name", "New"},
	{"metadata.tags", "Tags"},
	{"spec.state", "State"},
	{"spec.audience", "Audience"},
	{"spec.trigger.pattern", "When"},
	{"spec.trigger.until", "When.Until"},
	{"spec.trigger.contiguity", "When.Strict"},
	{"spec.trigger.within", "When.Within"},
	{"spec.trigger.window", "When.Session"},
	{"spec.trigger.after_match", "When.AfterMatch"},
	{"spec.trigger.time", "When.ByIngestTime"},
	{"spec.trigger.allowed_lateness", "When.AllowedLateness"},
	{"spec.trigger.correlate", "When.Correlate"},
	{"spec.trigger", "When"},
	{"spec.reentry", "Reentry"},
	{"spec.response.delay", "Delay"},
	{"spec.response.cancel_on", "CancelOn"},
	{"spec.response.expire_after", "Expire"},
	{"spec.response.quiet_hours", "QuietHours"},
	{"spec.priority", "Priority"},
	{"spec.slot", "Slot"},
	{"spec.caps", "Cap"},
	{"spec.experiment.holdout", "Holdout"},
	{"spec.experiment.salt", "Salt"},
	{"spec.experiment.variants", "Variant"},
	{"spec.conversion.events", "Converts"},
	{"spec.channels", "Send"},
	{"spec.on_edit", "OnEdit"},
}

// called names the calls in the faults of a document that Go wrote.
func called(err error, by []call) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, called(e, by))
		}
		return errors.Join(all...)
	}
	var f *Fault
	if !errors.As(err, &f) {
		return err
	}
	g := *f
	g.Line = 0
	for _, c := range by {
		rest, ok := strings.CutPrefix(f.Path, c.path)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		g.Path = c.call + rest
		break
	}
	return &g
}
