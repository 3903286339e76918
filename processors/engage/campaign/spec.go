package campaign

import (
	"fmt"
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
		[]string{"state", "trigger", "reentry", "response", "priority", "slot", "caps", "experiment", "conversion", "channels", "on_edit"},
		[]string{"audience"})
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
	if n := len(list.Values); n > maxTags {
		o.fault("tags", fmt.Sprintf("has %d entries, at most %d are taken", n, maxTags), "take some out")
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
	c.Trigger.read(o.object("trigger", triggerFields, nil))
	c.Reentry = o.reentry()
	c.readResponse(o)
	c.Priority = int32(o.integer("priority", -1000, 1000))
	c.Slot = o.text("slot", maxNameBytes)
	c.Channels = o.channels(c.Experiment)
	c.Trigger.StartsOver = o.choice("on_edit", []string{"keep", "reset"}, []string{"replay"}) == "reset"
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
