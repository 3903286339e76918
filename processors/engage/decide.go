package engage

import (
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// decision is a match on its way through the gates.
type decision struct {
	reader   *reader
	progress *schemas.TriggerRow
	match    *trigger.Match
	// eventID is of the event that completed it.
	eventID string
	id      string
}

// decide lets an event cancel and convert what came before it, then steps the campaigns that read it
// and takes their matches through the gates.
func decide(t *turn, a *arrival) {
	e := a.Event
	readers := processors.Look(t, declared).reading(e.Tenant, e.Name)
	traits := bookOf(t).Computing(e.Tenant, e.Name)
	g := t.State.Gates
	relevant(t, len(readers)+len(traits) > 0 || expected(t, e))
	if len(readers)+len(traits)+len(g.GetPending())+len(g.GetAwaited()) == 0 {
		return // nobody asks for its properties: they stay bytes
	}
	remember(t, e, readers, traits)
	props := &a.props
	props.Reset(e.Properties)
	compute(t, e, traits, props)                                           // first, so that a campaign sees them with this event
	a.user = *bookOf(t).User(e.Tenant, t.State.Profile, t.Now.UnixMilli()) // userOf, without its allocation
	props.Of(&a.user)
	if t.State.Gates != nil {
		cancels(t, e, props)
		converts(t, e, props)
	}
	var passed []response
	var rest [][]decision
	for i := range readers {
		found := step(t, a, &readers[i])
		if len(found) == 0 {
			continue
		}
		if d := &found[0]; admits(t, d) && reenters(t, d) {
			passed = append(passed, d.response(t.Now))
		}
		if len(found) > 1 {
			rest = append(rest, found[1:])
		}
	}
	respond(t, passed)
	gateAll(t, rest)
}

// gateAll takes the matches of campaigns through the gates: the first of each together, then the
// second of each, so that what one spends is spent for the next of the same campaign.
func gateAll(t *turn, all [][]decision) {
	for round := 0; ; round++ {
		var passed []response
		more := false
		for _, found := range all {
			if round >= len(found) {
				continue
			}
			more = true
			if d := &found[round]; admits(t, d) && reenters(t, d) {
				passed = append(passed, d.response(t.Now))
			}
		}
		if !more {
			return
		}
		respond(t, passed)
	}
}

// response is the match as the gates after REENTRY take it.
func (d *decision) response(now time.Time) response {
	return response{
		campaign: d.reader.campaign, id: d.id, eventID: d.eventID, eventIDs: d.match.EventIDs,
		firstMS: d.match.FirstMS, lastMS: d.match.LastMS, dueMS: now.UnixMilli(), number: d.match.Number,
	}
}

// step takes the event to one campaign's pattern and returns what it completed.
func step(t *turn, a *arrival, r *reader) []decision {
	e, props := a.Event, &a.props
	ev, ok := r.reads(e, props)
	if !ok {
		return nil
	}
	ev.ID = a.id()
	value, split := "", r.splits()
	if split {
		if value, ok = r.campaign.Trigger.Correlate.Value(props); !ok && !ev.Resets {
			return nil
		}
	}
	p, fresh := progress(t, r)
	if fresh && !a.tidy { // once in a turn: the catalog stays the same
		forgetGone(t.State, e.Tenant, processors.Look(t, declared))
		a.tidy = true
	}
	before := eventsOf(p)
	ev.TimeMS, ev.NowMS = clock(t, e, r.campaign), t.Now.UnixMilli()
	var out trigger.Outcome
	if split {
		out = stepParts(t, e, r, p, partKey(value), ev)
	} else {
		var next trigger.State
		next, out = r.machine.Step(state(p), ev)
		keep(p, next)
	}
	if out.Late {
		v := about(r.campaign, e.Id, Late)
		v.EventTimeMs = ev.TimeMS
		emit(t, v, "", &detail{
			HighestMS: p.HighestMs, LateByMS: p.HighestMs - ev.TimeMS, AllowedLatenessMS: r.machine.AllowedLateness.Milliseconds(),
			Shadow: shadow(r.campaign),
		})
		return nil
	}
	a.hold(t.State, p, before)
	return decisions(t, e.Tenant, ev.ID, r, p, out.Matches)
}

// hold notes what a step did to a progress that had so many events before, and keeps the row within
// maxEntryBytes.
func (a *arrival) hold(row *schemas.EngageRow, p *schemas.TriggerRow, before int) {
	after := eventsOf(p)
	if a.held < 0 {
		a.held = entries(row)
	} else {
		a.held += after - before
	}
	if a.held*maxEntry > maxEntryBytes {
		bound(row, p)
		a.held += eventsOf(p) - after
	}
	if p.DueMs != 0 && (a.dueMS == 0 || p.DueMs < a.dueMS) {
		a.dueMS = p.DueMs
	}
}

// splits says whether each value of a field has a pattern of its own.
func (r *reader) splits() bool { return r.campaign.Trigger.Correlate.String() != "" }

// stepParts takes an event to the pattern of its value. Without a value it is a reset, of the
// patterns of all values.
func stepParts(t *turn, e *schemas.Event, r *reader, p *schemas.TriggerRow, value string, ev trigger.Event) trigger.Outcome {
	if ev.TimeMS < p.HighestMs-r.machine.AllowedLateness.Milliseconds() {
		return trigger.Outcome{Late: ev.Steps != 0 || ev.Resets}
	}
	p.HighestMs = max(p.HighestMs, ev.TimeMS)
	parts := p.Parts
	if value == "" {
		ev.Steps = 0
		p.FloorMs = max(p.FloorMs, ev.TimeMS)
	} else {
		parts = []*schemas.TriggerPart{touch(p, value)}
	}
	var all trigger.Outcome
	for _, part := range parts {
		next, out := r.machine.Step(partState(p, part), ev)
		keepPart(p, part, next)
		all.Matches = append(all.Matches, out.Matches...)
	}
	makeRoom(t, e, r, p)
	p.DueMs = partsDue(p)
	return all
}

// touch returns the part of a value, new if need be, and puts it at the end.
func touch(p *schemas.TriggerRow, value string) *schemas.TriggerPart {
	part := &schemas.TriggerPart{Value: value, FloorMs: p.FloorMs}
	if i := slices.IndexFunc(p.Parts, func(q *schemas.TriggerPart) bool { return q.Value == value }); i >= 0 {
		part = p.Parts[i]
		p.Parts = slices.Delete(p.Parts, i, i+1)
	}
	p.Parts = append(p.Parts, part)
	return part
}

// makeRoom keeps a progress within MaxParts: those go first that hold nothing any more, without a
// word, then the one that was longest unseen, with a verdict.
func makeRoom(t *turn, e *schemas.Event, r *reader, p *schemas.TriggerRow) {
	if len(p.Parts) <= MaxParts {
		return
	}
	p.Parts = slices.DeleteFunc(p.Parts, func(part *schemas.TriggerPart) bool {
		rest, spent := r.machine.Rest(partState(p, part))
		keepPart(p, part, rest)
		return spent
	})
	for len(p.Parts) > MaxParts {
		part := p.Parts[0]
		p.Parts = slices.Delete(p.Parts, 0, 1)
		emit(t, about(r.campaign, e.Id, Dropped), part.Value, &detail{Value: part.Value, Held: len(part.EventIds), Shadow: shadow(r.campaign)})
	}
}

// partKey is a value as a row keeps it: as JSON, a hash where that is long.
func partKey(value string) string {
	const longest = 64
	if len(value) > longest {
		return strconv.FormatUint(hashOf("v", value), 16)
	}
	return value
}

// decisions names the matches of a campaign. eventID completed them; an absence is about the event
// that armed it, whatever brought it to light.
func decisions(t *turn, tenant, eventID string, r *reader, p *schemas.TriggerRow, matches []*trigger.Match) []decision {
	var all []decision
	for _, m := range matches {
		if r.machine.Kind == trigger.Absence {
			eventID = m.EventIDs[0]
		}
		all = append(all, decision{reader: r, progress: p, match: m, eventID: eventID, id: matchID(t, tenant, eventID, r.campaign, m)})
	}
	return all
}

// clock is the event's time as the campaign sees it.
func clock(t *turn, e *schemas.Event, c *campaign.Campaign) int64 {
	now := t.Now.UnixMilli()
	if c.Trigger.Clock == trigger.IngestTime || e.TimeMs > now+MaxAhead.Milliseconds() {
		return now
	}
	return e.TimeMs
}

// matchID names a match by campaign, user and the match's last event. Where that event is not
// consumed and was not what completed the match, it may end another one; then both events name it.
func matchID(t *turn, tenant, eventID string, c *campaign.Campaign, m *trigger.Match) string {
	last := m.EventIDs[len(m.EventIDs)-1]
	parts := append(make([]string, 0, 4), tenant+"/"+c.Name, t.Key, last)
	if m.Reusable && last != eventID {
		parts = append(parts, eventID)
	}
	return processors.DeriveID(parts...)
}

// reenters is the REENTRY gate.
func reenters(t *turn, d *decision) bool {
	gate := d.reader.campaign.Reentry
	spent := reserved(t.State, d.reader.campaign, trigger.Spent{Fired: d.progress.Fired, LastMS: d.progress.LastMatchMs})
	if gate.Allows(spent, d.match.LastMS) {
		return true
	}
	emit(t, matched(d, Reentry), "", &detail{
		Mode: string(gate.Mode), Fired: spent.Fired, LastMatchMS: spent.LastMS,
		EveryMS: gate.Every.Milliseconds(), UntilMS: gate.UntilMS(spent), Shadow: shadow(d.reader.campaign),
	})
	return false
}

// shadow says that a campaign decides but sends nothing.
func shadow(c *campaign.Campaign) bool { return c.State == campaign.Shadow }
