package campaign

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// maxNameBytes bounds names in a campaign file.
const maxNameBytes = 100

// read reads the whole document into what it declares: a *Campaign, an *Audience or a *Trait. Faults
// are noted; with any, the result is of no use.
func (d *document) read(body ast.Node) any {
	o := d.mapping(body, "", []string{"apiVersion", "kind", "metadata", "spec"})
	if o.need("apiVersion", "write apiVersion: dwell/v1") {
		o.choice("apiVersion", []string{"dwell/v1"}, nil)
	}
	kind := CampaignKind
	if o.need("kind", "write kind: Campaign") {
		kind = o.choice("kind", []string{CampaignKind, AudienceKind, TraitKind}, nil)
	}
	o.need("metadata", "write metadata: {name: NAME}")
	o.need("spec", "write what the "+strings.ToLower(kind)+" does")
	switch kind {
	case AudienceKind:
		return readAudience(o)
	case TraitKind:
		return readTrait(o)
	}
	c := &Campaign{}
	meta := o.object("metadata", []string{"name", "tags"}, nil)
	c.Name = meta.name("campaign", "hot-streak")
	c.Tags = meta.list("tags", maxTags, "write [promo, vip]")
	c.readSpec(o.object("spec", campaignFields, nil))
	return c
}

var campaignFields = []string{"state", "audience", "trigger", "reentry", "response", "priority", "slot", "caps", "experiment", "conversion", "channels", "on_edit"}

// name reads the name of what is declared.
func (o *object) name(what, example string) string {
	s := o.word("name", maxNameBytes, fmt.Sprintf("give the %s a name, such as %s", what, example))
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9'
		if !letter && (i == 0 || strings.IndexByte("-_.", s[i]) < 0) {
			o.fault("name", fmt.Sprintf("%q is no name", s), "use lower-case letters, digits, '-', '_' and '.', and start with a letter or digit")
			break
		}
	}
	return s
}

// list reads a list of at most limit words.
func (o *object) list(field string, limit int, do string) []string {
	if !o.has(field) {
		return nil
	}
	list, ok := o.fields[field].(*ast.SequenceNode)
	if !ok {
		o.fault(field, "must be a list", do)
		return nil
	}
	if n := len(list.Values); n > limit {
		o.fault(field, fmt.Sprintf("has %d entries, at most %d are taken", n, limit), "take some out")
		return nil
	}
	var words []string
	for i, n := range list.Values {
		s, ok := text(n)
		if !ok || s == "" || len(s) > maxNameBytes {
			o.d.fault(o.d.line(n), fmt.Sprintf("%s[%d]", join(o.path, field), i), fmt.Sprintf("must be text of 1 to %d bytes", maxNameBytes), "put it in quotes, or shorten it")
			continue
		}
		words = append(words, s)
	}
	return words
}

func (c *Campaign) readSpec(o *object) {
	if o.need("state", "write one of draft, shadow, live, paused, archived") {
		c.State = State(o.choice("state", []string{"draft", "shadow", "live", "paused", "archived"}, nil))
	}
	c.Audience = o.admission()
	o.need("trigger", "write the pattern of events")
	c.Trigger.read(o.object("trigger", triggerFields, nil))
	c.Reentry = o.reentry()
	c.readResponse(o)
	c.Priority = int32(o.integer("priority", -1000, 1000))
	c.Slot = o.text("slot", maxNameBytes)
	c.Channels = o.channels(c.Experiment)
	if edit, _ := text(o.fields["on_edit"]); edit == "replay" {
		o.fault("on_edit", "replay is not supported: an edit cannot decide over what users did before it", "write keep or reset; dwell campaign rehearse says what the edit would have decided over the log")
	} else {
		c.Trigger.StartsOver = o.choice("on_edit", []string{"keep", "reset"}, nil) == "reset"
	}
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
	m.Where = o.where(predicate.Compile, `write a CEL condition over the event's properties, such as event.result == "win"`)
	return m
}

// where reads a condition.
func (o *object) where(compile func(string) (predicate.Predicate, error), do string) predicate.Predicate {
	source := strings.TrimSpace(o.text("where", predicate.MaxBytes))
	if source == "" {
		return predicate.Predicate{}
	}
	p, err := compile(source)
	if err != nil {
		o.fault("where", err.Error(), do)
	}
	return p
}
