package engage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/tree"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// Kind is the kind of declaration that the catalog reads, in any case of letters.
const Kind = "Campaign"

// Catalog holds the campaigns of every tenant, compiled. It is never changed: a declaration makes
// another one. A nil Catalog is empty.
type Catalog struct {
	entries tree.Tree[entry]    // by tenant and name
	readers tree.Tree[[]reader] // by tenant and event
	caps    tree.Tree[[]capOf]  // by tenant and scope
	book    audience.Book
	// strict says that some tenant has, or had, a campaign that reads all events.
	strict bool
}

// entry is what was declared under one name.
type entry struct {
	// campaign in force; nil when none ever was good.
	campaign *campaign.Campaign
	// fault of a newer declaration that is not in force; nil: none.
	fault *Fault
}

// Fault is a declaration that is not in force because it is faulty; the version before it is.
type Fault struct {
	Tenant, Name string
	// Version of the faulty declaration, InForce that which decides instead; empty: none.
	Version, InForce string
	Err              error
}

// reader is a campaign that reads an event, with what it does with it.
type reader struct {
	campaign *campaign.Campaign
	machine  trigger.Machine
	// steps and resets are what it does with the event; of a strict pattern, with any event.
	steps  []campaign.Step
	resets []campaign.Matcher
}

// Campaign returns the campaign in force under a name; nil when there is none.
func (c *Catalog) Campaign(tenant, name string) *campaign.Campaign {
	if c == nil {
		return nil
	}
	e, _ := c.entries.Get(tenant, name)
	return e.campaign
}

// Faults returns the declarations that are not in force, by tenant and name.
func (c *Catalog) Faults() []Fault {
	var all []Fault
	if c == nil {
		return nil
	}
	c.entries.Each(func(_, _ string, e entry) {
		if e.fault != nil {
			all = append(all, *e.fault)
		}
	})
	for _, f := range c.book.Faults() {
		all = append(all, Fault{Tenant: f.Tenant, Name: f.Name, Version: f.Version, InForce: f.InForce, Err: f.Err})
	}
	slices.SortFunc(all, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Name, b.Name)) })
	return all
}

// reading returns the campaigns that read an event, the highest priority first, then by name.
func (c *Catalog) reading(tenant, event string) []reader {
	if c == nil {
		return nil
	}
	rs, _ := c.readers.Get(tenant, event)
	if !c.strict {
		return rs
	}
	strict, _ := c.readers.Get(tenant, everyEvent)
	if len(strict) == 0 {
		return rs
	}
	return slices.SortedFunc(slices.Values(slices.Concat(rs, strict)), byPriority)
}

// fold returns the catalog after one declaration.
func fold(c *Catalog, key string, d *schemas.Declaration, deleted bool) *Catalog {
	kind, rest, _ := strings.Cut(key, "/")
	tenant, name, ok := strings.Cut(rest, "/")
	if !ok {
		return c
	}
	next := Catalog{}
	if c != nil {
		next = *c
	}
	if book, mine := next.book.Fold(kind, tenant, name, d, deleted); mine {
		next.book = book
		return &next
	}
	if !strings.EqualFold(kind, Kind) {
		return c
	}
	old, _ := next.entries.Get(tenant, name)
	if deleted {
		next.unindex(tenant, old.campaign)
		next.recap(tenant, old.campaign, nil)
		next.want(tenant, old.campaign, -1)
		next.entries = next.entries.Without(tenant, name)
		return &next
	}
	declared, err := parse(tenant, name, d)
	if err != nil {
		fault := &Fault{Tenant: tenant, Name: name, Version: d.Version, Err: err}
		if old.campaign != nil {
			fault.InForce = old.campaign.Version
		}
		next.entries = next.entries.With(tenant, name, entry{old.campaign, fault})
		return &next
	}
	next.unindex(tenant, old.campaign)
	next.index(tenant, declared)
	next.recap(tenant, old.campaign, declared)
	next.want(tenant, old.campaign, -1)
	next.want(tenant, declared, 1)
	next.entries = next.entries.With(tenant, name, entry{campaign: declared})
	return &next
}

// parse finds the campaign of a declaration in its source.
func parse(tenant, name string, d *schemas.Declaration) (*campaign.Campaign, error) {
	if d.Tenant != "" && d.Tenant != tenant || d.Name != "" && d.Name != name {
		return nil, fmt.Errorf("declare campaign %s of %s: the record is of %s of %s", name, tenant, d.Name, d.Tenant)
	}
	all, err := campaign.Parse(cmp.Or(d.File, name), d.Source)
	if err != nil {
		return nil, fmt.Errorf("declare campaign %s of %s: %w", name, tenant, err)
	}
	i := slices.IndexFunc(all, func(c *campaign.Campaign) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("declare campaign %s of %s: the source holds no campaign of that name", name, tenant)
	}
	return all[i], nil
}

// index adds a campaign to those that read its events, if it decides.
func (c *Catalog) index(tenant string, cp *campaign.Campaign) {
	if !cp.State.Decides() {
		return
	}
	t := &cp.Trigger
	machine, steps := t.Machine(), t.Pattern.Steps()
	for _, event := range events(t) {
		r := reader{campaign: cp, machine: machine}
		for _, s := range steps {
			if s.Event == event || event == everyEvent {
				r.steps = append(r.steps, s)
			}
		}
		for _, m := range t.Until {
			if m.Event == event || event == everyEvent {
				r.resets = append(r.resets, m)
			}
		}
		c.strict = c.strict || event == everyEvent
		rs, _ := c.readers.Get(tenant, event)
		at, _ := slices.BinarySearchFunc(rs, r, byPriority)
		c.readers = c.readers.With(tenant, event, slices.Insert(slices.Clone(rs), at, r))
	}
}

// want counts a campaign, nil for none, among those that read what identify says. A pause keeps it.
func (c *Catalog) want(tenant string, cp *campaign.Campaign, by int) {
	if cp != nil && cp.State != campaign.Draft && cp.State != campaign.Archived {
		c.book = c.book.Want(tenant, cp.UserFields(), by)
	}
}

// unindex takes a campaign, nil for none, out of the index.
func (c *Catalog) unindex(tenant string, cp *campaign.Campaign) {
	if cp == nil || !cp.State.Decides() {
		return
	}
	for _, event := range events(&cp.Trigger) {
		rs, _ := c.readers.Get(tenant, event)
		rs = slices.DeleteFunc(slices.Clone(rs), func(r reader) bool { return r.campaign == cp })
		if len(rs) == 0 {
			c.readers = c.readers.Without(tenant, event)
		} else {
			c.readers = c.readers.With(tenant, event, rs)
		}
	}
}

// byPriority puts the highest priority first, and names in order within one.
func byPriority(a, b reader) int {
	return cmp.Or(cmp.Compare(b.campaign.Priority, a.campaign.Priority), cmp.Compare(a.campaign.Name, b.campaign.Name))
}

// everyEvent is where campaigns are that read all events; no event has this name.
const everyEvent = ""

// events are the names that a trigger reads, each once.
func events(t *campaign.Trigger) []string {
	if t.Frame.Strict { // what lies between breaks it
		return []string{everyEvent}
	}
	var all []string
	for _, s := range t.Pattern.Steps() {
		all = append(all, s.Event)
	}
	for _, m := range t.Until {
		all = append(all, m.Event)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// reads says what an event is to the campaign; false: nothing.
func (r *reader) reads(e *schemas.Event, props *predicate.Properties) (trigger.Event, bool) {
	ev := trigger.Event{ID: e.Id}
	for i := range r.steps {
		if s := &r.steps[i]; s.Event == e.Name && s.Where.Matches(props) {
			ev.Steps |= s.Bits
		}
	}
	for i := range r.resets {
		m := &r.resets[i]
		ev.Resets = ev.Resets || m.Event == e.Name && m.Where.Matches(props)
	}
	if a := r.campaign.Trigger.Pattern.Aggregate; a != nil && ev.Steps != 0 {
		var ok bool
		if ev.Number, ok = numberOf(a, props); !ok {
			ev.Steps = 0
		}
	}
	return ev, ev.Steps != 0 || ev.Resets || r.machine.Strict
}

// numberOf is what an aggregate takes of an event; false: nothing. To count different values it
// takes 53 bits of a hash: among the events of a window two of them meet once in 10^10 windows.
func numberOf(a *campaign.Aggregate, props *predicate.Properties) (float64, bool) {
	if a.Crossing.Of != trigger.Distinct {
		return a.Field.Number(props)
	}
	v, ok := a.Field.Value(props)
	return float64(hashOf("v", v) >> 11), ok
}
