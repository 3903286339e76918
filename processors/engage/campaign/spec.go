package campaign

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// maxNameBytes bounds names in a campaign file.
const maxNameBytes = 100

// campaign reads the whole document. Faults are noted; with any, the result is of no use.
func (d *document) campaign(body ast.Node) *Campaign {
	o := d.mapping(body, "", []string{"apiVersion", "kind", "metadata", "spec"})
	if o.need("apiVersion", "write apiVersion: dwell/v1") {
		o.choice("apiVersion", []string{"dwell/v1"}, nil)
	}
	if o.need("kind", "write kind: Campaign") {
		o.choice("kind", []string{"Campaign"}, []string{"Trait", "Audience"})
	}
	c := &Campaign{}
	o.need("metadata", "write metadata: {name: NAME}")
	meta := o.object("metadata", []string{"name", "tags"}, nil)
	c.Name = meta.name()
	c.Tags = meta.tags()
	o.need("spec", "write what the campaign does")
	spec := o.object("spec",
		[]string{"state", "trigger", "reentry", "response", "priority", "slot", "channels", "on_edit"},
		[]string{"audience", "caps", "experiment", "conversion"})
	c.readSpec(spec)
	return c
}

func (o *object) name() string {
	s := o.word("name", maxNameBytes, "give the campaign a name, such as hot-streak")
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9'
		if !letter && (i == 0 || strings.IndexByte("-_.", s[i]) < 0) {
			o.fault("name", fmt.Sprintf("%q is no name", s), "use lower-case letters, digits, '-', '_' and '.', and start with a letter or digit")
			break
		}
	}
	return s
}

func (o *object) tags() []string {
	if !o.has("tags") {
		return nil
	}
	list, ok := o.fields["tags"].(*ast.SequenceNode)
	if !ok {
		o.fault("tags", "must be a list", "write [promo, vip]")
		return nil
	}
	var tags []string
	for i, n := range list.Values {
		s, ok := text(n)
		if !ok || s == "" || len(s) > maxNameBytes {
			o.d.fault(o.d.line(n), fmt.Sprintf("%s[%d]", join(o.path, "tags"), i), fmt.Sprintf("must be text of 1 to %d bytes", maxNameBytes), "put it in quotes, or shorten it")
			continue
		}
		tags = append(tags, s)
	}
	return tags
}

func (c *Campaign) readSpec(o *object) {
	if o.need("state", "write one of draft, shadow, live, paused, archived") {
		c.State = State(o.choice("state", []string{"draft", "shadow", "live", "paused", "archived"}, nil))
	}
	o.need("trigger", "write the pattern of events")
	c.Trigger.read(o.object("trigger",
		[]string{"pattern", "until", "contiguity", "within", "window", "after_match", "time", "allowed_lateness"},
		[]string{"correlate"}))
	c.Reentry = o.reentry()
	response := o.object("response", []string{"expire_after"}, []string{"delay", "cancel_on", "quiet_hours"})
	c.ExpireAfter = response.span("expire_after")
	c.Priority = int32(o.integer("priority", -1000, 1000))
	c.Slot = o.text("slot", maxNameBytes)
	c.Channels = o.channels()
	o.choice("on_edit", []string{"keep"}, []string{"reset", "replay"})
}

func (o *object) reentry() trigger.Reentry {
	if s, ok := text(o.fields["reentry"]); ok && s != "cooldown" { // reentry: once
		return trigger.Reentry{Mode: trigger.Mode(o.choice("reentry", []string{string(DefaultReentry), "once", "cooldown"}, nil))}
	}
	r := o.object("reentry", []string{"mode", "every"}, nil)
	re := trigger.Reentry{Mode: trigger.Mode(r.choice("mode", []string{string(DefaultReentry), "once", "cooldown"}, nil))}
	re.Every = r.span("every")
	switch cools := re.Mode == trigger.Cooldown; {
	case cools && re.Every == 0:
		r.fault("every", "a cooldown needs its length", "write every: 24h")
	case !cools && r.has("every"):
		r.fault("every", fmt.Sprintf("does nothing in mode %s", re.Mode), "write mode: cooldown, or take it out")
	}
	return re
}

// read reads the trigger.
func (t *Trigger) read(o *object) {
	o.need("pattern", "write pattern: {count: {event: NAME, times: N}}")
	p := o.object("pattern", []string{"count"}, []string{"sequence", "absence", "aggregate", "all_of", "any_of"})
	if !p.refused {
		p.need("count", "write count: {event: NAME, times: N}")
	}
	if p.has("count") {
		count := p.object("count", []string{"event", "where", "times"}, nil)
		t.Pattern.Count = &Count{Of: count.matcher()}
		if count.need("times", "write how many events complete the pattern, such as times: 3") {
			t.Pattern.Count.Times = int(count.integer("times", 1, trigger.MaxTimes))
		}
	}
	for _, m := range o.objects("until", []string{"event", "where"}) {
		t.Until = append(t.Until, m.matcher())
	}
	o.choice("contiguity", []string{"relaxed"}, []string{"strict"})
	o.window()
	t.Clock = trigger.Clock(o.choice("time", []string{string(trigger.EventTime), string(trigger.IngestTime)}, nil))
	t.Frame.AfterMatch = trigger.AfterMatch(o.choice("after_match", []string{string(trigger.SkipPastLast), string(trigger.SkipToNext)}, nil))
	t.Frame.Within = o.span("within")
	if c := t.Pattern.Count; c != nil && c.Times > 1 && !o.has("within") {
		o.fault("within", "missing", "write how long a match may last, such as within: 10m")
	}
	t.Frame.AllowedLateness = DefaultAllowedLateness
	if o.has("allowed_lateness") {
		t.Frame.AllowedLateness = o.span("allowed_lateness")
	}
}

func (o *object) window() {
	switch n := o.fields["window"].(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		if sub := o.d.object(n, join(o.path, "window"), nil, []string{"session"}); !sub.refused {
			o.fault("window", "is empty", "write sliding")
		}
	default:
		o.choice("window", []string{"sliding"}, []string{"tumbling", "session"})
	}
}

// matcher reads {event, where}.
func (o *object) matcher() Matcher {
	m := Matcher{Event: o.word("event", schemas.MaxNameBytes, "name the event, such as event: bet_settled")}
	if m.Event == "identify" || m.Event == "alias" {
		o.fault("event", "not supported yet: "+m.Event+" as an event", "name a track call's event, or page, screen, group")
	}
	source := strings.TrimSpace(o.text("where", MaxPredicateBytes))
	if source == "" {
		return m
	}
	p, err := compile(source)
	if err != nil {
		o.fault("where", err.Error(), `write a CEL condition over the event's properties, such as event.result == "win"`)
	}
	m.Where = p
	return m
}

// hash is the first 8 bytes of SHA-256 over what a user's progress depends on.
func (t *Trigger) hash() uint64 {
	h := sha256.New()
	part := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	matcher := func(m Matcher) { part(m.Event); part(m.Where.String()) }
	part("count")
	matcher(t.Pattern.Count.Of)
	part(strconv.Itoa(len(t.Until)))
	for _, m := range t.Until {
		matcher(m)
	}
	part("relaxed")
	part("sliding")
	part(string(t.Frame.AfterMatch))
	part(string(t.Clock))
	return binary.BigEndian.Uint64(h.Sum(nil))
}
