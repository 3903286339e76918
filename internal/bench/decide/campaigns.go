package decide

import (
	"fmt"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// eventNames is how many names events have.
const eventNames = 200

// Plan is one campaign of the bench: what its file says, and what a peer needs to know of it.
type Plan struct {
	Name string
	// Kind is a pattern's name in a campaign file.
	Kind string
	// Times is what a count asks for; else 0.
	Times int
	// WithinMS is the time frame.
	WithinMS int64
	// Where says that an event counts only if its amount is 50 or more and its result is win.
	Where bool
	// Events are what the pattern asks for, in order; of an absence the second is what must not come.
	Events []string
	// Until resets the pattern; empty: nothing does.
	Until string
	// Source is the campaign's file.
	Source string
}

// kinds says how many campaigns of each kind there are, and how many different events each reads.
var kinds = []struct {
	name          string
	count, events int
	until         bool
}{
	{"count", 44, 1, true},
	{"sequence", 20, 3, true},
	{"absence", 12, 2, false},
	{"aggregate", 12, 1, false},
	{"all_of", 8, 3, false},
	{"any_of", 4, 4, false},
}

// slots hands out event names so that each is read by one to three campaigns.
type slots int

func (s *slots) next() string {
	i := int(*s)
	*s++
	if i >= eventNames { // the second and the third reader
		i = (i - eventNames) % 40 * 37 % eventNames
	}
	return eventName(i)
}

func eventName(i int) string { return fmt.Sprintf("event_%03d", i) }

// where is the condition of a Plan with Where.
const where = `event.amount >= 50 && event.result == "win"`

// Plans are the hundred campaigns: 44 counts, 20 sequences, 12 absences, 12 aggregates, 8 all_of and 4
// any_of. Every second has a condition, every tenth caps and quiet hours, every fifth a holdout with
// variants, every seventh a delay that an event cancels, five an audience by a computed trait; all have a
// cooldown, and half compete for one slot.
func Plans() []Plan {
	var all []Plan
	var next slots
	for _, k := range kinds {
		for range k.count {
			i := len(all)
			p := Plan{Name: fmt.Sprintf("%s-%02d", strings.ReplaceAll(k.name, "_", "-"), i), Kind: k.name, WithinMS: int64(10+i%5*10) * 60_000, Where: i%2 == 0}
			for range k.events {
				p.Events = append(p.Events, next.next())
			}
			if k.until {
				p.Until = next.next()
			}
			if k.name == "count" {
				p.Times = 3 + i%3
			}
			p.Source = p.source(i)
			all = append(all, p)
		}
	}
	return all
}

// Every traitEvery-th campaign, from traitAt on, asks for a computed trait of the first event that it reads.
const traitEvery, traitAt = 20, 6

// computed are what the traits compute.
var computed = []string{
	"compute: count, over: 1h", "compute: sum, field: event.amount, over: 2h", "compute: decayed, half_life: 1h",
	"compute: distinct, field: event.page, over: 24h", "compute: last, field: event.amount",
}

// traits are the files of the computed traits, by name.
func traits(plans []Plan) map[string]string {
	all := map[string]string{}
	for i, p := range plans {
		if t := i / traitEvery; i%traitEvery == traitAt {
			name := fmt.Sprintf("trend_%d", t)
			all[name] = fmt.Sprintf("apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: %s}\nspec: {event: %s, %s}\n", name, p.Events[0], computed[t])
		}
	}
	return all
}

// matcher is an event in flow style, with the condition where there is one.
func (p *Plan) matcher(event string) string {
	if !p.Where {
		return fmt.Sprintf("event: %s", event)
	}
	return fmt.Sprintf("event: %s, where: '%s'", event, where)
}

func (p *Plan) pattern() string {
	m := make([]string, len(p.Events))
	for i, e := range p.Events {
		m[i] = "{" + p.matcher(e) + "}"
	}
	switch p.Kind {
	case "count":
		return fmt.Sprintf("{count: {%s, times: %d}}", p.matcher(p.Events[0]), p.Times)
	case "absence":
		return fmt.Sprintf("{absence: {%s, not: {event: %s}, restart: false}}", p.matcher(p.Events[0]), p.Events[1])
	case "aggregate":
		return fmt.Sprintf("{aggregate: {%s, sum: event.amount, is: '> 300'}}", p.matcher(p.Events[0]))
	}
	return fmt.Sprintf("{%s: [%s]}", p.Kind, strings.Join(m, ", "))
}

// source writes the campaign's file; i is its number.
func (p *Plan) source(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: dwell/v1\nkind: Campaign\nmetadata: {name: %s, tags: [bench]}\nspec:\n  state: live\n", p.Name)
	fmt.Fprintf(&b, "  trigger:\n    pattern: %s\n    within: %dms\n", p.pattern(), p.WithinMS)
	if p.Until != "" {
		fmt.Fprintf(&b, "    until: [{event: %s}]\n", p.Until)
	}
	fmt.Fprintf(&b, "  reentry: {mode: cooldown, every: 1h}\n  priority: %d\n", i%20)
	if i%2 == 1 {
		b.WriteString("  slot: page_popup\n")
	}
	var response []string
	if i%7 == 3 {
		response = append(response, "delay: 5m", fmt.Sprintf("cancel_on: [{event: %s}]", eventName(i*2%eventNames)))
	}
	if i%10 == 3 {
		response = append(response, `quiet_hours: {from: "22:00", to: "08:00", zone: user, action: defer}`)
		b.WriteString("  caps: [{scope: channel, max: 3, per: 1h}, {scope: 'tag:bench', max: 10, per: 24h}]\n")
	}
	if len(response) > 0 {
		fmt.Fprintf(&b, "  response: {%s}\n", strings.Join(response, ", "))
	}
	if t := i / traitEvery; i%traitEvery == traitAt {
		fmt.Fprintf(&b, "  audience: {where: 'user.trend_%d >= 0'}\n", t)
	}
	if i%5 == 2 {
		b.WriteString("  experiment: {holdout: 10%, variants: [{name: a, weight: 1}, {name: b, weight: 1}]}\n")
	}
	fmt.Fprintf(&b, "  channels: [{type: popup, content: popup/%s, title: You are on a roll, body: Your next bet is boosted., link: /bets}]\n", p.Name)
	return b.String()
}

// parse checks that the plans are campaigns.
func parse(plans []Plan) ([]*campaign.Campaign, error) {
	var all []*campaign.Campaign
	for _, p := range plans {
		c, err := campaign.Parse(p.Name+".yaml", []byte(p.Source))
		if err != nil {
			return nil, fmt.Errorf("write the bench's campaigns: %w", err)
		}
		all = append(all, c...)
	}
	for name, source := range traits(plans) {
		if _, err := campaign.ParseFile(name+".yaml", []byte(source)); err != nil {
			return nil, fmt.Errorf("write the bench's traits: %w", err)
		}
	}
	return all, nil
}
