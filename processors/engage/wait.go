package engage

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// gates is the gates' part of a row.
func gates(row *schemas.EngageRow) *schemas.GateState {
	if row.Gates == nil {
		row.Gates = &schemas.GateState{}
	}
	return row.Gates
}

// delays is the DELAY gate: it says whether the response is held back.
func delays(t *turn, m response) bool {
	d := m.campaign.Delay
	if d == 0 || m.waited {
		return false
	}
	due := t.Now.Add(d)
	return wait(t, m, Delay, due, &detail{DelayMS: d.Milliseconds(), UntilMS: due.UnixMilli()})
}

// wait keeps a response in the row until it is due and says so with a verdict. A user for whom too
// many wait gets no more of them.
func wait(t *turn, m response, verdict string, due time.Time, d *detail) bool {
	g := gates(t.State)
	if len(g.Pending) >= gate.MaxPending {
		m.emit(t, Cancelled, "", &detail{Reason: "too many responses wait", Pending: len(g.Pending)})
		return true
	}
	ms := due.UnixMilli()
	g.Pending = append(g.Pending, &schemas.PendingResponse{
		Campaign: m.campaign.Name, MatchId: m.id, EventId: m.eventID, EventIds: m.eventIDs[max(0, len(m.eventIDs)-gate.MaxPendingIDs):],
		FirstMs: m.firstMS, LastMs: m.lastMS, DueMs: ms, Shadow: shadow(m.campaign),
	})
	m.emit(t, verdict, strconv.FormatInt(ms, 10), d)
	return true
}

// pendingDue is when the next response has waited long enough, in Unix milliseconds; 0: none waits.
func pendingDue(row *schemas.EngageRow) int64 {
	var least int64
	for _, p := range row.Gates.GetPending() {
		if least == 0 || p.DueMs < least {
			least = p.DueMs
		}
	}
	return least
}

// respondDue takes the responses that have waited long enough through the gates that are left, by the
// campaign as it is now. What their campaign no longer decides on is cancelled.
func respondDue(t *turn) {
	now, catalog := t.Now.UnixMilli(), processors.Look(t, declared)
	tenant, _ := schemas.SplitKey(t.Key)
	var due []response
	leave(t.State, func(p *schemas.PendingResponse) bool {
		if p.DueMs > now {
			return false
		}
		c := catalog.Campaign(tenant, p.Campaign)
		m := pendingResponse(c, p)
		switch {
		case c == nil:
			emit(t, &schemas.Verdict{Campaign: p.Campaign, Verdict: Cancelled, MatchId: p.MatchId, EventId: p.EventId, EventIds: p.EventIds, EventTimeMs: p.LastMs}, "", &detail{Reason: "the campaign is gone", Shadow: p.Shadow})
		case !c.State.Decides():
			m.emit(t, Cancelled, "", &detail{Reason: "the campaign is " + string(c.State)})
		case p.Shadow && !shadow(c):
			m.emit(t, Cancelled, "", &detail{Reason: "it was decided in shadow"})
		default:
			due = append(due, m)
		}
		return true
	})
	respond(t, due)
}

func pendingResponse(c *campaign.Campaign, p *schemas.PendingResponse) response {
	return response{
		campaign: c, id: p.MatchId, eventID: p.EventId, eventIDs: p.EventIds,
		firstMS: p.FirstMs, lastMS: p.LastMs, dueMS: p.DueMs, waited: true,
	}
}

// leave takes the responses for which gone is true out of those that wait.
func leave(row *schemas.EngageRow, gone func(*schemas.PendingResponse) bool) {
	if row.Gates != nil {
		row.Gates.Pending = slices.DeleteFunc(row.Gates.Pending, gone)
	}
}

// cancels lets an event cancel the responses that wait for their time.
func cancels(t *turn, e *schemas.Event, props *predicate.Properties) {
	catalog := processors.Look(t, declared)
	leave(t.State, func(p *schemas.PendingResponse) bool {
		c := catalog.Campaign(e.Tenant, p.Campaign)
		if c == nil || clock(t, e, c) < p.LastMs { // it happened before the match
			return false
		}
		if !slices.ContainsFunc(c.CancelOn, func(m campaign.Matcher) bool { return m.Event == e.Name && m.Where.Matches(props) }) {
			return false
		}
		m := pendingResponse(c, p)
		v := m.verdict(Cancelled)
		v.EventId = e.Id
		emit(t, v, "", &detail{Reason: "event", DueMS: p.DueMs, Shadow: p.Shadow})
		return true
	})
}

// await remembers a match whose conversion may come.
func await(t *turn, m response, kind uint32, variant string) {
	c, now := m.campaign, t.Now.UnixMilli()
	if len(c.Conversions) == 0 {
		return
	}
	if shadow(c) {
		kind = gate.SpentShadow
	}
	g := gates(t.State)
	if over := len(g.Awaited) + 1 - gate.MaxAwaited; over > 0 {
		g.Awaited = slices.Delete(g.Awaited, 0, over)
	}
	g.Awaited = append(g.Awaited, &schemas.AwaitedConversion{
		Campaign: c.Name, Version: c.Version, Variant: variant, MatchId: m.id, AtMs: now, Kind: kind,
		UntilMs: now + (c.MaxConversionSpan() + c.Trigger.Frame.AllowedLateness).Milliseconds(),
	})
}

// converts lets an event convert the matches that were sent, or held out, before it.
func converts(t *turn, e *schemas.Event, props *predicate.Properties) {
	g, now, catalog := t.State.Gates, t.Now.UnixMilli(), processors.Look(t, declared)
	g.Awaited = slices.DeleteFunc(g.Awaited, func(a *schemas.AwaitedConversion) bool {
		c := catalog.Campaign(e.Tenant, a.Campaign)
		if c == nil || a.UntilMs < now {
			return true
		}
		ms := clock(t, e, c)
		i := slices.IndexFunc(c.Conversions, func(k campaign.Conversion) bool {
			return k.Of.Event == e.Name && ms >= a.AtMs && ms <= a.AtMs+k.Within.Milliseconds() && k.Of.Where.Matches(props)
		})
		if i < 0 {
			return false
		}
		emit(t, &schemas.Verdict{
			Campaign: a.Campaign, Version: a.Version, Variant: a.Variant, Verdict: Converted, MatchId: a.MatchId,
			EventId: e.Id, EventTimeMs: ms,
		}, "", &detail{
			DecidedMS: a.AtMs, AfterMS: ms - a.AtMs, WithinMS: c.Conversions[i].Within.Milliseconds(),
			Control: a.Kind == gate.SpentControl, Shadow: a.Kind == gate.SpentShadow,
		})
		return true
	})
}

// expected says whether the event may cancel a response that waits, or convert a match that was sent.
func expected(t *turn, e *schemas.Event) bool {
	g := t.State.Gates
	if len(g.GetPending())+len(g.GetAwaited()) == 0 {
		return false
	}
	catalog := processors.Look(t, declared)
	for _, p := range g.Pending {
		c := catalog.Campaign(e.Tenant, p.Campaign)
		if c != nil && slices.ContainsFunc(c.CancelOn, func(m campaign.Matcher) bool { return m.Event == e.Name }) {
			return true
		}
	}
	for _, a := range g.Awaited {
		c := catalog.Campaign(e.Tenant, a.Campaign)
		if c != nil && slices.ContainsFunc(c.Conversions, func(k campaign.Conversion) bool { return k.Of.Event == e.Name }) {
			return true
		}
	}
	return false
}

// reserved is what a user used up of a campaign's re-entry, with what the responses that wait will.
func reserved(row *schemas.EngageRow, c *campaign.Campaign, s trigger.Spent) trigger.Spent {
	for _, p := range row.Gates.GetPending() {
		if p.Campaign == c.Name && p.Shadow == shadow(c) {
			s.Fired++
			s.LastMS = max(s.LastMS, p.LastMs)
		}
	}
	return s
}

// spentOf is the progress that holds a campaign's re-entry, new if need be.
func spentOf(row *schemas.EngageRow, c *campaign.Campaign) *schemas.TriggerRow {
	i, found := find(row.Triggers, c.Name)
	if !found { // it was forgotten while the response waited
		row.Triggers = slices.Insert(row.Triggers, i, &schemas.TriggerRow{Campaign: c.Name, Pattern: c.PatternHash})
	}
	return row.Triggers[i]
}

// rememberZone takes the user's time zone from the traits of an identify; a name that is none changes
// nothing, null forgets it.
func rememberZone(row *schemas.EngageRow, traits []byte) {
	var has struct{ Timezone json.RawMessage }
	var name *string
	if json.Unmarshal(traits, &has) != nil || has.Timezone == nil || json.Unmarshal(has.Timezone, &name) != nil {
		return
	}
	if name == nil {
		if row.Gates != nil {
			row.Gates.Zone = ""
		}
		return
	}
	if _, err := gate.Zone(*name); err == nil {
		gates(row).Zone = *name
	}
}

// forgetGates lets go of what no gate looks at any more and says whether something is left that will
// be let go later.
func forgetGates(t *turn) bool {
	g, now := t.State.Gates, t.Now.UnixMilli()
	if g == nil {
		return false
	}
	g.Spends = gate.Prune(g.Spends, now, reachIn(t))
	g.Awaited = slices.DeleteFunc(g.Awaited, func(a *schemas.AwaitedConversion) bool { return a.UntilMs < now })
	if len(g.Pending)+len(g.Spends)+len(g.Awaited) == 0 && g.Zone == "" {
		t.State.Gates = nil
	}
	return len(g.Spends)+len(g.Awaited) > 0
}
