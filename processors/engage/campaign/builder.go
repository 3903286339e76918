package campaign

import (
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/processors/engage/trigger"
)

// Builder makes a campaign in Go: it writes the document that a file would hold, and the same validator
// checks it. A Builder is a value: each method returns another one and leaves the one it was called on
// as it was, so several campaigns may begin with what they have in common. What is not called is not
// written, and means what it means in a file. Nothing is checked before Build or YAML.
type Builder struct {
	name  string
	tags  []string
	state State
	spec  fields
	// parts of the spec that several methods add to.
	audience, response, experiment fields
	caps, variants, conversions    []any
	channels                       []any
}

// New begins a campaign. It is live unless State says otherwise.
func New(name string) Builder { return Builder{name: name, state: Live} }

// Tags adds to the campaign's tags.
func (b Builder) Tags(tags ...string) Builder { b.tags = slices.Concat(b.tags, tags); return b }

// State sets what the campaign may do.
func (b Builder) State(s State) Builder { b.state = s; return b }

// AudienceRule says who may get a campaign.
type AudienceRule struct {
	field string
	words []string
	where string
}

// In lets the users of any of these audiences get the campaign, and nobody else.
func In(audiences ...string) AudienceRule { return AudienceRule{field: "include", words: audiences} }

// NotIn keeps the users of these audiences out.
func NotIn(audiences ...string) AudienceRule { return AudienceRule{field: "exclude", words: audiences} }

// Who is a CEL condition that must be true of the user, such as user.country == "GB".
func Who(where string) AudienceRule { return AudienceRule{where: where} }

// CheckAt says when the audience is asked: match, send, or both, which is the default.
func CheckAt(when ...string) AudienceRule { return AudienceRule{field: "check", words: when} }

// Audience adds rules, all of which must hold.
func (b Builder) Audience(rules ...AudienceRule) Builder {
	for _, r := range rules {
		if r.field == "" {
			b.audience = b.audience.with("where", r.where)
			continue
		}
		words, _ := b.audience.get(r.field).([]any)
		for _, w := range r.words {
			words = append(slices.Clip(words), w)
		}
		b.audience = b.audience.with(r.field, words)
	}
	return b
}

// When sets what the campaign waits for.
func (b Builder) When(p PatternSpec) Builder {
	b.spec = b.spec.with("trigger", append(fields{{"pattern", fields{{p.kind, p.pattern}}}}, p.frame...))
	return b
}

// Once lets one match of a user through, ever.
func Once() trigger.Reentry { return trigger.Reentry{Mode: trigger.Once} }

// Always lets every match through.
func Always() trigger.Reentry { return trigger.Reentry{Mode: trigger.Always} }

// Cooldown lets a match through when the one before is older than every.
func Cooldown(every time.Duration) trigger.Reentry {
	return trigger.Reentry{Mode: trigger.Cooldown, Every: every}
}

// Reentry sets how often one user gets the campaign.
func (b Builder) Reentry(r trigger.Reentry) Builder {
	f := fields{{"mode", string(r.Mode)}}
	if r.Mode == trigger.Cooldown {
		f = f.with("every", r.Every)
	}
	b.spec = b.spec.with("reentry", f)
	return b
}

// Delay is how long after the match the response is sent.
func (b Builder) Delay(d time.Duration) Builder { b.response = b.response.with("delay", d); return b }

// CancelOn are the events that cancel a response while it waits.
func (b Builder) CancelOn(events ...EventSpec) Builder {
	b.response = b.response.with("cancel_on", matchers(events))
	return b
}

// Expire is how long after the response may be sent it may still be shown.
func (b Builder) Expire(after time.Duration) Builder {
	b.response = b.response.with("expire_after", after)
	return b
}

// QuietSpec are hours in which nothing is sent.
type QuietSpec struct{ fields fields }

// Quiet are the hours from one time of day, such as 22:00, to another, by the user's clock. What falls
// into them is sent at their end.
func Quiet(from, to string) QuietSpec { return QuietSpec{fields{{"from", from}, {"to", to}}} }

// Zone takes the clock of an IANA zone, such as Europe/London.
func (q QuietSpec) Zone(name string) QuietSpec { return QuietSpec{q.fields.with("zone", name)} }

// Cancel drops what falls into the hours.
func (q QuietSpec) Cancel() QuietSpec { return QuietSpec{q.fields.with("action", "cancel")} }

// QuietHours sets the hours in which nothing is sent.
func (b Builder) QuietHours(q QuietSpec) Builder {
	b.response = b.response.with("quiet_hours", q.fields)
	return b
}

// Priority decides among campaigns that want one slot at one moment: the highest wins.
func (b Builder) Priority(p int) Builder { b.spec = b.spec.with("priority", p); return b }

// Slot is what campaigns compete for.
func (b Builder) Slot(name string) Builder { b.spec = b.spec.with("slot", name); return b }

// Cap adds a limit: at most so many in any span of the length per. The scope is channel, campaign, global
// or tag:NAME.
func (b Builder) Cap(scope string, most int, per time.Duration) Builder {
	b.caps = append(slices.Clip(b.caps), fields{{"scope", scope}, {"max", most}, {"per", per}})
	return b
}

// Holdout is the share of users that is never reached, from 0 to 1, at most four decimals.
func (b Builder) Holdout(share float64) Builder {
	percent := strconv.FormatFloat(share*100, 'f', 6, 64)
	b.experiment = b.experiment.with("holdout", trimZeros(percent)+"%")
	return b
}

// Salt names the split of users; see the file's experiment.salt.
func (b Builder) Salt(salt string) Builder {
	b.experiment = b.experiment.with("salt", salt)
	return b
}

// Variant adds a variant of the experiment with its weight among all.
func (b Builder) Variant(name string, weight int) Builder {
	b.variants = append(slices.Clip(b.variants), fields{{"name", name}, {"weight", weight}})
	return b
}

// Converts adds an event that the campaign is for, when it comes within a time after the response.
func (b Builder) Converts(e EventSpec, within time.Duration) Builder {
	b.conversions = append(slices.Clip(b.conversions), e.fields.with("within", within))
	return b
}

// OnEdit says what an edit of the trigger does to how far users came: keep or reset.
func (b Builder) OnEdit(what string) Builder { b.spec = b.spec.with("on_edit", what); return b }

// ChannelSpec is one way to reach the user.
type ChannelSpec struct {
	fields   fields
	variants fields
	expire   *time.Duration
}

// Popup shows content, such as popup/boost50, on the page.
func Popup(content string) ChannelSpec {
	c := ChannelSpec{fields: fields{{"type", "popup"}}}
	if content != "" {
		c.fields = c.fields.with("content", content)
	}
	return c
}

// Title of a popup.
func (c ChannelSpec) Title(text string) ChannelSpec { return c.with("title", text) }

// Body of a popup.
func (c ChannelSpec) Body(text string) ChannelSpec { return c.with("body", text) }

// Button of a popup.
func (c ChannelSpec) Button(text string) ChannelSpec { return c.with("button", text) }

// Link is where the button leads.
func (c ChannelSpec) Link(to string) ChannelSpec { return c.with("link", to) }

func (c ChannelSpec) with(field, text string) ChannelSpec {
	c.fields = c.fields.with(field, text)
	return c
}

// Expire is Builder.Expire.
func (c ChannelSpec) Expire(after time.Duration) ChannelSpec { c.expire = &after; return c }

// Variant shows something else to the users of a variant: what differs, Popup("") where the content does
// not.
func (c ChannelSpec) Variant(name string, differs ChannelSpec) ChannelSpec {
	c.variants = c.variants.with(name, differs.fields.without("type"))
	return c
}

// Send adds a channel.
func (b Builder) Send(c ChannelSpec) Builder {
	f := c.fields
	if len(c.variants) > 0 {
		f = f.with("variants", c.variants)
	}
	if c.expire != nil {
		b = b.Expire(*c.expire)
	}
	b.channels = append(slices.Clip(b.channels), f)
	return b
}

// EventSpec picks events.
type EventSpec struct{ fields fields }

// Event picks the events of a name: that of a track call, or page, screen, group.
func Event(name string) EventSpec { return EventSpec{fields{{"event", name}}} }

// Where leaves only the events of which a CEL condition is true, such as event.result == "win".
func (e EventSpec) Where(cel string) EventSpec { return EventSpec{e.fields.with("where", cel)} }

func matchers(events []EventSpec) []any {
	list := make([]any, len(events))
	for i, e := range events {
		list[i] = e.fields
	}
	return list
}

// PatternSpec is a pattern of events with its time frame.
type PatternSpec struct {
	kind    string
	pattern any
	frame   fields
}

// Count asks for so many equal events.
func Count(of EventSpec, times int) PatternSpec {
	return PatternSpec{kind: "count", pattern: of.fields.with("times", times)}
}

// Sequence asks for events one after the other.
func Sequence(steps ...EventSpec) PatternSpec {
	return PatternSpec{kind: "sequence", pattern: matchers(steps)}
}

// AllOf asks for all of the events, in any order.
func AllOf(events ...EventSpec) PatternSpec {
	return PatternSpec{kind: "all_of", pattern: matchers(events)}
}

// AnyOf asks for any of the events.
func AnyOf(events ...EventSpec) PatternSpec {
	return PatternSpec{kind: "any_of", pattern: matchers(events)}
}

// Absent asks that an event is not followed by another one in time.
func Absent(after, not EventSpec) PatternSpec {
	return PatternSpec{kind: "absence", pattern: after.fields.with("not", not.fields)}
}

// Restart lets another first event of Absent start the time again.
func (p PatternSpec) Restart() PatternSpec {
	if f, ok := p.pattern.(fields); ok {
		p.pattern = f.with("restart", true)
	}
	return p
}

// Number is what an aggregate takes of the events of its window.
type Number struct {
	of              EventSpec
	function, field string
}

// Sum adds the values of a field, such as event.amount.
func Sum(of EventSpec, field string) Number { return Number{of, "sum", field} }

// CountDistinct counts the different values of a field.
func CountDistinct(of EventSpec, field string) Number { return Number{of, "count_distinct", field} }

// Min is the least value of a field.
func Min(of EventSpec, field string) Number { return Number{of, "min", field} }

// Max is the greatest value of a field.
func Max(of EventSpec, field string) Number { return Number{of, "max", field} }

// Avg is the mean of a field.
func Avg(of EventSpec, field string) Number { return Number{of, "avg", field} }

// Above asks that the number rises above a bound.
func (n Number) Above(bound float64) PatternSpec { return n.is(">", bound) }

// AtLeast asks that the number comes to a bound or above.
func (n Number) AtLeast(bound float64) PatternSpec { return n.is(">=", bound) }

// Below asks that the number falls below a bound.
func (n Number) Below(bound float64) PatternSpec { return n.is("<", bound) }

// AtMost asks that the number comes to a bound or below.
func (n Number) AtMost(bound float64) PatternSpec { return n.is("<=", bound) }

func (n Number) is(op string, bound float64) PatternSpec {
	is := op + " " + strconv.FormatFloat(bound, 'g', -1, 64)
	return PatternSpec{kind: "aggregate", pattern: n.of.fields.with(n.function, n.field).with("is", is)}
}

func (p PatternSpec) with(field string, value any) PatternSpec {
	p.frame = p.frame.with(field, value)
	return p
}

// Until are the events that make the pattern start over.
func (p PatternSpec) Until(events ...EventSpec) PatternSpec { return p.with("until", matchers(events)) }

// Strict asks for events that follow each other directly.
func (p PatternSpec) Strict() PatternSpec { return p.with("contiguity", "strict") }

// Within is how long a match may last, first to last, inclusive.
func (p PatternSpec) Within(d time.Duration) PatternSpec { return p.with("within", d) }

// Tumbling puts all events of a match into one span of Within's length.
func (p PatternSpec) Tumbling() PatternSpec { return p.with("window", string(trigger.Tumbling)) }

// Session allows no pause of more than gap between the events of a match.
func (p PatternSpec) Session(gap time.Duration) PatternSpec {
	return p.with("window", fields{{"session", gap}})
}

// What a match uses up.
const (
	SkipPastLast = trigger.SkipPastLast
	SkipToNext   = trigger.SkipToNext
)

// AfterMatch says what a match uses up.
func (p PatternSpec) AfterMatch(a trigger.AfterMatch) PatternSpec {
	return p.with("after_match", string(a))
}

// ByIngestTime goes by the time at which events were received.
func (p PatternSpec) ByIngestTime() PatternSpec { return p.with("time", string(trigger.IngestTime)) }

// AllowedLateness is how far behind the user's newest event one may come.
func (p PatternSpec) AllowedLateness(d time.Duration) PatternSpec {
	return p.with("allowed_lateness", d)
}

// Correlate gives each value of a field, such as event.cart_id, a pattern of its own.
func (p PatternSpec) Correlate(field string) PatternSpec { return p.with("correlate", field) }
