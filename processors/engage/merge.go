package engage

import (
	"cmp"
	"slices"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// merge makes the row of an id that was claimed a part of this one. What both remember is stepped in
// the order of time, as if it had been one user from the start; what was decided before stays decided.
func merge(t *turn, from string, other *schemas.EngageRow) {
	tenant, _ := schemas.SplitKey(t.Key)
	past := identity.Past(other, func(id string) bool { return slices.Contains(t.State.RecentIds, eventHash(id)) })
	adopt(t.State, other, len(past) > 0)
	joint := newJoint(t, tenant, past)
	identity.Claim(t.State, from)
	for _, p := range identity.Unite(t.State, other, RecentIDs) {
		emit(t, &schemas.Verdict{
			Campaign: p.Campaign, Verdict: Cancelled, MatchId: p.MatchId, EventId: p.EventId, EventIds: p.EventIds, EventTimeMs: p.LastMs,
		}, "", &detail{Reason: "too many responses wait", Pending: len(t.State.Gates.Pending), Shadow: p.Shadow})
	}
	joint.add(other.Triggers)
	var found []decision
	for _, j := range joint.all {
		found = append(found, j.merge(t, tenant)...)
	}
	gateByEvent(t, found)
	watch(t)
}

// adopt takes over what the other row knows of its user; what this one knows wins. Computed traits are
// made of the events that are stepped again; where there are none, those that are missing here are taken
// as they are.
func adopt(row, other *schemas.EngageRow, again bool) {
	if other.Profile == nil {
		return
	}
	p := profileOf(row)
	profile.Adopt(p, other.Profile)
	for _, c := range other.Profile.Computed {
		at, found := slices.BinarySearchFunc(p.Computed, c.Definition, func(a *schemas.ComputedTrait, of uint64) int { return cmp.Compare(a.Definition, of) })
		if !found && !again {
			p.Computed = slices.Insert(p.Computed, at, c)
		}
	}
	if profile.Empty(p) {
		row.Profile = nil
	}
}

// gateByEvent takes the matches of a merge through the gates: those of one event compete, as they would
// have when it came.
func gateByEvent(t *turn, found []decision) {
	slices.SortStableFunc(found, func(a, b decision) int { return cmp.Compare(a.match.LastMS, b.match.LastMS) })
	for len(found) > 0 {
		n := 1
		for n < len(found) && found[n].eventID == found[0].eventID {
			n++
		}
		var passed []response
		for i := range found[:n] {
			if d := &found[i]; admits(t, d) && reenters(t, d) {
				passed = append(passed, d.response(t.Now))
			}
		}
		respond(t, passed)
		found = found[n:]
	}
}

// joint is what two rows have of each campaign, the highest priority first, then by name.
type joint struct {
	t      *turn
	tenant string
	all    []*jointCampaign
}

// jointCampaign is one campaign: the events of the other row that it reads, by time, each with the value
// of its correlate field, and what the other row made of them.
type jointCampaign struct {
	reader reader
	events []trigger.Event
	values []string
	theirs *schemas.TriggerRow
}

// newJoint lets the past of the other row cancel and convert what this one waits for, and finds the
// campaigns that read it.
func newJoint(t *turn, tenant string, past []*schemas.RememberedEvent) *joint {
	j := &joint{t: t, tenant: tenant}
	for _, p := range past {
		e := &schemas.Event{Tenant: tenant, Id: p.Id, Name: p.Name, TimeMs: p.TimeMs, ReceivedMs: p.NowMs, Properties: p.Properties}
		props := predicate.NewProperties(e.Properties)
		compute(t, e, bookOf(t).Computing(tenant, e.Name), props)
		props.Of(userOf(t))
		if t.State.Gates != nil {
			cancels(t, e, props)
			converts(t, e, props)
		}
		for _, r := range processors.Look(t, declared).reading(tenant, e.Name) {
			j.read(&r, e, p, props)
		}
	}
	return j
}

// read takes an event to a campaign.
func (j *joint) read(r *reader, e *schemas.Event, p *schemas.RememberedEvent, props *predicate.Properties) {
	ev, ok := r.reads(e, props)
	if !ok {
		return
	}
	value := ""
	if r.splits() {
		if value, ok = r.campaign.Trigger.Correlate.Value(props); !ok && !ev.Resets {
			return
		}
		value = partKey(value)
	}
	if ev.TimeMS, ev.NowMS = p.TimeMs, p.NowMs; r.campaign.Trigger.Clock == trigger.IngestTime || ev.TimeMS > ev.NowMS+MaxAhead.Milliseconds() {
		ev.TimeMS = p.NowMs
	}
	c := j.campaign(r.campaign)
	c.events, c.values = append(c.events, ev), append(c.values, value)
}

func (j *joint) campaign(c *campaign.Campaign) *jointCampaign {
	r := reader{campaign: c, machine: c.Trigger.Machine()}
	at, found := slices.BinarySearchFunc(j.all, r, func(a *jointCampaign, b reader) int { return byPriority(a.reader, b) })
	if !found {
		j.all = slices.Insert(j.all, at, &jointCampaign{reader: r})
	}
	return j.all[at]
}

// add adds what the other row made of its events, of campaigns that are declared.
func (j *joint) add(theirs []*schemas.TriggerRow) {
	for _, p := range theirs {
		if c := processors.Look(j.t, declared).Campaign(j.tenant, p.Campaign); c != nil {
			j.campaign(c).theirs = p
		}
	}
}

// merge merges the progress of one campaign. Of one that does not decide now only re-entry is kept.
func (j *jointCampaign) merge(t *turn, tenant string) []decision {
	r := &j.reader
	theirs := j.theirs
	if theirs == nil {
		theirs = &schemas.TriggerRow{}
	}
	if !r.campaign.State.Decides() {
		if theirs.Fired > 0 {
			identity.UniteSpent(spentOf(t.State, r.campaign), theirs, true)
		}
		return nil
	}
	p, fresh := progress(t, r)
	if fresh {
		forgetGone(t.State, tenant, processors.Look(t, declared))
	}
	identity.UniteSpent(p, theirs, shadow(r.campaign))
	if theirs.Pattern != p.Pattern || slices.ContainsFunc(states(theirs), func(s trigger.State) bool { return !r.machine.Fits(s) }) {
		theirs = &schemas.TriggerRow{}
	}
	var matches []*trigger.Match
	if r.splits() {
		matches = j.mergeParts(t, p, theirs)
	} else {
		next, out := r.machine.Merge(state(p), state(theirs), j.events, t.Now.UnixMilli())
		keep(p, next)
		matches = out.Matches
	}
	bound(t.State, p)
	var all []decision
	for _, m := range matches {
		all = append(all, decisions(t, tenant, m.EventIDs[len(m.EventIDs)-1], r, p, []*trigger.Match{m})...)
	}
	return all
}

// mergeParts merges the progress of each value of a correlate field.
func (j *jointCampaign) mergeParts(t *turn, p, theirs *schemas.TriggerRow) (matches []*trigger.Match) {
	var values []string
	see := func(value string) {
		if value != "" && !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	for _, of := range []*schemas.TriggerRow{p, theirs} {
		for _, part := range of.Parts {
			see(part.Value)
		}
	}
	for _, v := range j.values {
		see(v)
	}
	highest := max(p.HighestMs, theirs.HighestMs)
	for _, v := range values {
		part := touch(p, v)
		other := trigger.State{FloorMS: theirs.FloorMs, HighestMS: theirs.HighestMs}
		if i := slices.IndexFunc(theirs.Parts, func(q *schemas.TriggerPart) bool { return q.Value == v }); i >= 0 {
			other = partState(theirs, theirs.Parts[i])
		}
		next, out := j.reader.machine.Merge(partState(p, part), other, j.of(v), t.Now.UnixMilli())
		highest = max(highest, next.HighestMS)
		keepPart(p, part, next)
		matches = append(matches, out.Matches...)
	}
	p.HighestMs, p.FloorMs = highest, max(p.FloorMs, theirs.FloorMs)
	for i, e := range j.events {
		if j.values[i] == "" {
			p.FloorMs, p.HighestMs = max(p.FloorMs, e.TimeMS), max(p.HighestMs, e.TimeMS)
		}
	}
	makeRoom(t, &schemas.Event{Id: t.At.String()}, &j.reader, p)
	p.DueMs = partsDue(p)
	return matches
}

// of are the events of one value, and the resets of all.
func (j *jointCampaign) of(value string) (all []trigger.Event) {
	for i, e := range j.events {
		if j.values[i] == "" {
			e.Steps = 0
		}
		if j.values[i] == "" || j.values[i] == value {
			all = append(all, e)
		}
	}
	return all
}
