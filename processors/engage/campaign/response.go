package campaign

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors/engage/gate"
)

// Response says when a match becomes a response, and when it does not.
type Response struct {
	// Delay is how long after the match the response is sent.
	Delay time.Duration
	// CancelOn are the events that cancel a response while it waits.
	CancelOn []Matcher
	// Quiet are the hours in which nothing is sent; nil: none.
	Quiet *gate.Hours
	// ExpireAfter is how long after the response may be sent it may still be shown; zero: for ever.
	ExpireAfter time.Duration
	// Caps are all asked; one that is full is enough to hold the response back.
	Caps []gate.Cap
	// Experiment is nil when there is none.
	Experiment *gate.Experiment
	// Conversions are the events that the campaign is for; one of them converts a match.
	Conversions []Conversion
}

// Conversion is an event that counts when it comes soon enough after the response.
type Conversion struct {
	Of Matcher
	// Within is the longest time between the decision and the event, inclusive.
	Within time.Duration
}

// MaxConversionSpan is the longest Within of the conversions.
func (r *Response) MaxConversionSpan() time.Duration {
	longest := time.Duration(0)
	for _, c := range r.Conversions {
		longest = max(longest, c.Within)
	}
	return longest
}

// Limits of the response's lists.
const (
	maxTags     = 16
	maxCaps     = 16
	maxVariants = 16
	maxEvents   = 16
)

// readResponse reads response, caps, experiment and conversion of a spec; c has its name and tags.
func (c *Campaign) readResponse(o *object) {
	before := len(o.d.faults)
	r := o.object("response", []string{"delay", "cancel_on", "expire_after", "quiet_hours"}, nil)
	c.Delay = r.span("delay")
	c.ExpireAfter = r.span("expire_after")
	c.Quiet = r.quietHours()
	for _, m := range r.few("cancel_on", []string{"event", "where"}, maxEvents) {
		c.CancelOn = append(c.CancelOn, m.matcher())
	}
	if len(c.CancelOn) > 0 && c.Delay == 0 && (c.Quiet == nil || c.Quiet.Cancel) && len(o.d.faults) == before {
		r.fault("cancel_on", "does nothing: the response never waits", "write a delay, or quiet_hours with action: defer, or take it out")
	}
	for _, m := range o.few("caps", []string{"scope", "max", "per"}, maxCaps) {
		c.Caps = append(c.Caps, m.limit(c.Tags))
	}
	c.Experiment = o.experiment(c.Name)
	conversion := o.object("conversion", []string{"events"}, nil)
	for _, m := range conversion.few("events", []string{"event", "where", "within"}, maxEvents) {
		c.Conversions = append(c.Conversions, m.conversion())
	}
	if o.has("conversion") && !conversion.refused && !conversion.void && len(c.Conversions) == 0 && len(conversion.fields) > 0 {
		conversion.need("events", "write events: [{event: NAME, within: 24h}]")
	}
}

// few reads a list of at most limit mappings.
func (o *object) few(field string, known []string, limit int) []*object {
	all := o.objects(field, known)
	if len(all) > limit {
		o.fault(field, fmt.Sprintf("has %d entries, at most %d are taken", len(all), limit), "take some out")
		all = all[:limit]
	}
	return all
}

// longerThanZero reads a span that must be there.
func (o *object) longerThanZero(field, do string) time.Duration {
	if !o.need(field, do) {
		return 0
	}
	before := len(o.d.faults)
	span := o.span(field)
	if span == 0 && len(o.d.faults) == before {
		o.fault(field, "must be longer than zero", do)
	}
	return span
}

// quietHours reads {from, to, zone, action}; nil when they are not there.
func (o *object) quietHours() *gate.Hours {
	q := o.object("quiet_hours", []string{"from", "to", "zone", "action"}, nil)
	if q.void || len(q.fields) == 0 {
		return nil
	}
	h := &gate.Hours{}
	from, fine := q.wallTime("from", `write when they begin, such as from: "22:00"`)
	to, good := q.wallTime("to", `write when they end, such as to: "08:00"`)
	h.From, h.To = from, to
	if fine && good && from == to {
		q.fault("to", "the hours begin and end at the same time", "write another time; to send nothing at all, write state: paused")
	}
	if name := q.text("zone", maxNameBytes); name != "" && name != "user" {
		zone, err := gate.Zone(name)
		if err != nil {
			q.fault("zone", err.Error(), "write user, or an IANA name such as Europe/London")
		}
		h.Zone = zone
	}
	h.Cancel = q.choice("action", []string{"defer", "cancel"}, nil) == "cancel"
	return h
}

// wallTime reads a time of day, as time since midnight.
func (o *object) wallTime(field, do string) (time.Duration, bool) {
	if !o.need(field, do) {
		return 0, false
	}
	s, ok := text(o.fields[field])
	t, err := time.Parse("15:04", s)
	if !ok || err != nil || len(s) != len("15:04") {
		o.fault(field, "must be a time of day", `write hours and minutes in quotes, such as "08:00"`)
		return 0, false
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, true
}

// limit reads {scope, max, per}.
func (o *object) limit(tags []string) gate.Cap {
	c := gate.Cap{Scope: o.word("scope", maxNameBytes+len(gate.TagScope), "write channel, campaign, global or tag:NAME")}
	known := []string{gate.ChannelScope, gate.CampaignScope, gate.GlobalScope}
	for _, t := range tags {
		known = append(known, gate.TagScope+t)
	}
	if c.Scope != "" && !slices.Contains(known, c.Scope) {
		what := fmt.Sprintf("%q is not known", c.Scope)
		if tag, ok := strings.CutPrefix(c.Scope, gate.TagScope); ok {
			what = fmt.Sprintf("%q is no tag of this campaign", tag)
		}
		o.fault("scope", what, closest(c.Scope, known))
	}
	if o.need("max", "write how many are allowed, such as max: 1") {
		c.Max = int(o.integer("max", 1, gate.MaxCap))
	}
	c.Per = o.longerThanZero("per", "write in how long, such as per: 24h")
	return c
}

// experiment reads {holdout, salt, variants}; nil when it is not there.
func (o *object) experiment(name string) *gate.Experiment {
	x := o.object("experiment", []string{"holdout", "salt", "variants"}, nil)
	if x.void || len(x.fields) == 0 {
		return nil
	}
	e := &gate.Experiment{Holdout: x.share("holdout"), Salt: name + "/holdout/1"}
	if x.has("salt") {
		e.Salt = x.word("salt", maxNameBytes, "write another text for each split, such as salt: "+e.Salt)
	}
	total := uint32(0)
	for _, v := range x.few("variants", []string{"name", "weight"}, maxVariants) {
		w := gate.Variant{Name: v.word("name", maxNameBytes, "name the variant, such as name: boost50")}
		if w.Name != "" && slices.ContainsFunc(e.Variants, func(o gate.Variant) bool { return o.Name == w.Name }) {
			v.fault("name", fmt.Sprintf("%q is also the name of another variant", w.Name), "give each variant its own name")
		}
		if v.need("weight", "write its share among all weights, such as weight: 100") {
			w.Weight = uint32(v.integer("weight", 0, gate.Buckets))
		}
		total += w.Weight
		e.Variants = append(e.Variants, w)
	}
	if len(e.Variants) > 0 && total == 0 && !x.refused {
		x.fault("variants", "nobody gets any: all weights are 0", "give at least one a weight, such as weight: 100")
	}
	return e
}

// share reads a percentage with at most two decimals, in parts of gate.Buckets; 0 when it is not there.
func (o *object) share(field string) uint32 {
	if !o.has(field) {
		return 0
	}
	s, _ := text(o.fields[field])
	number, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(number, 64)
	parts := math.Round(f * gate.Buckets / 100)
	if !percent || err != nil || !(f >= 0 && f <= 100) || math.Abs(parts-f*gate.Buckets/100) > 1e-6 {
		o.fault(field, "must be a share from 0% to 100%", "write at most two decimals, such as 10% or 0.25%")
		return 0
	}
	return uint32(parts)
}

// conversion reads {event, where, within}.
func (o *object) conversion() Conversion {
	return Conversion{Of: o.matcher(), Within: o.longerThanZero("within", "write how long after the response it counts, such as within: 24h")}
}
