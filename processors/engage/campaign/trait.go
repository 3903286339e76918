package campaign

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/profile"
)

// Trait is one thing to know of every user: what identify says under that name, or what the user's
// events come to. It is never changed.
type Trait struct {
	// Name is the field of user under which it is read: letters, digits and '_', no digit first.
	Name string
	// Computed comes of events; nil: what identify says is kept, whether something reads it or not.
	Computed *profile.Definition
	Origin
}

var traitFields = []string{"keep", "event", "where", "compute", "field", "over", "pane", "half_life"}

// readTrait reads a document of kind Trait.
func readTrait(o *object) *Trait {
	meta := o.object("metadata", []string{"name"}, nil)
	t := &Trait{Name: meta.word("name", maxNameBytes, "give the trait a name, such as deposits_7d")}
	if t.Name != "" && !predicate.Name(t.Name) {
		meta.fault("name", fmt.Sprintf("%q is no name of a trait", t.Name), "use letters, digits and '_', and start with a letter, so that user.NAME can read it")
	}
	spec := o.object("spec", traitFields, nil)
	if spec.flag("keep") {
		for _, f := range traitFields[1:] {
			if spec.has(f) {
				spec.fault(f, "does nothing beside keep", "take it out, or keep")
			}
		}
		return t
	}
	d := &profile.Definition{Name: t.Name}
	t.Computed = d
	m := spec.matcher()
	d.Event, d.Where = m.Event, m.Where
	d.Over, d.Pane, d.HalfLife = spec.span("over"), spec.span("pane"), spec.span("half_life")
	if spec.has("field") {
		d.Field = spec.field("field")
	}
	if spec.need("compute", "write what to compute, such as compute: count, or keep: true for a trait of identify") {
		var words []string
		for _, f := range profile.Functions() {
			words = append(words, string(f))
		}
		d.Of = profile.Function(spec.choice("compute", words, nil))
		spec.computes(d)
	}
	d.Ready()
	return t
}

// computes reads what a function needs, and refuses what it has no use for.
func (o *object) computes(d *profile.Definition) {
	useless := func(field string) {
		if o.has(field) {
			o.fault(field, "does nothing for "+string(d.Of), "take it out")
		}
	}
	needs, may := d.Of.Field()
	switch {
	case needs:
		o.need("field", "name one of the event's properties, such as event.amount")
	case !may:
		useless("field")
	}
	if d.Of == profile.Decayed {
		o.longerThanZero("half_life", "write after how long an event weighs half, such as half_life: 7d")
	} else {
		useless("half_life")
	}
	if !d.Of.Windowed() {
		useless("over")
		useless("pane")
		return
	}
	if d.Over == 0 && o.has("over") && len(o.d.faults) == 0 {
		o.fault("over", "must be longer than zero", "write how far to look back, such as over: 7d, or take it out to look at all that ever was")
	}
	if d.Of == profile.DaysActive {
		useless("pane")
		if d.Over%(24*time.Hour) != 0 {
			o.fault("over", "is no number of whole days", "write days, such as over: 30d")
		}
		return
	}
	switch {
	case !o.has("pane"):
	case len(o.d.faults) > 0:
	case d.Over == 0:
		o.fault("pane", "does nothing without over", "take it out")
	case d.Pane < time.Second || d.Pane > d.Over:
		o.fault("pane", "must be from 1s to over", "write how exact the window is, such as pane: 1h")
	case d.Panes() > profile.MaxPanes:
		o.fault("pane", fmt.Sprintf("makes %d panes of the window, at most %d are taken", d.Panes(), profile.MaxPanes), "write a longer one")
	}
}

// UserFields are the names of what identify says that the trait reads, and its own, if it keeps that.
func (t *Trait) UserFields() []string {
	if t.Computed == nil {
		return []string{t.Name}
	}
	return t.Computed.Where.UserFields()
}

// TraitBuilder makes a trait in Go, as Builder makes a campaign. It is a value: each method returns another
// one. Nothing is checked before Build or YAML.
type TraitBuilder struct {
	name string
	spec fields
}

// NewTrait begins a trait; Keep or Computes says what it is.
func NewTrait(name string) TraitBuilder { return TraitBuilder{name: name} }

// Keep keeps what identify says under the name, although nothing reads it yet.
func (b TraitBuilder) Keep() TraitBuilder { return b.with("keep", true) }

// Computes makes it what a function comes to over events.
func (b TraitBuilder) Computes(of profile.Function, over EventSpec) TraitBuilder {
	for _, f := range over.fields {
		b = b.with(f.name, f.value)
	}
	return b.with("compute", string(of))
}

// Field is the property that the function takes, such as event.amount.
func (b TraitBuilder) Field(field string) TraitBuilder { return b.with("field", field) }

// Over is the window that ends now; without it the function sees all that ever was.
func (b TraitBuilder) Over(d time.Duration) TraitBuilder { return b.with("over", d) }

// Pane is how exact the window is; without it there are at most 32 panes of an even width.
func (b TraitBuilder) Pane(d time.Duration) TraitBuilder { return b.with("pane", d) }

// HalfLife is after how long an event weighs half, of profile.Decayed.
func (b TraitBuilder) HalfLife(d time.Duration) TraitBuilder { return b.with("half_life", d) }

func (b TraitBuilder) with(field string, value any) TraitBuilder {
	b.spec = b.spec.with(field, value)
	return b
}

var traitCalls = []call{
	{"metadata.name", "NewTrait"},
	{"spec.keep", "Keep"},
	{"spec.event", "Computes"},
	{"spec.where", "Computes"},
	{"spec.compute", "Computes"},
	{"spec.field", "Field"},
	{"spec.over", "Over"},
	{"spec.pane", "Pane"},
	{"spec.half_life", "HalfLife"},
}

// Build checks the trait as if it came from a file; faults are those of Builder.Build.
func (b TraitBuilder) Build() (*Trait, error) {
	f, err := written(TraitKind, "NewTrait", b.name, b.spec, traitCalls)
	if err != nil {
		return nil, err
	}
	return f.Traits[0], nil
}

// YAML is the trait's document, ready for dwell apply. The same calls give the same bytes.
func (b TraitBuilder) YAML() ([]byte, error) {
	t, err := b.Build()
	if err != nil {
		return nil, err
	}
	return t.Source, nil
}
