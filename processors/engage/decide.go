package engage

import (
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// decision is a match on its way through the gates.
type decision struct {
	reader   *reader
	progress *schemas.TriggerRow
	match    *trigger.Match
	id       string
}

// decide steps the campaigns that read the event and takes their matches through the gates:
// REENTRY, then PRIORITY, then SENT.
func decide(t *turn, e *schemas.Event) {
	readers := processors.Look(t, declared).reading(e.Tenant, e.Name)
	if len(readers) == 0 {
		return
	}
	props := campaign.NewProperties(e.Properties)
	var passed []decision
	var rivals []trigger.Contender
	for i := range readers {
		r := &readers[i]
		d, ok := step(t, e, r, props)
		if !ok || !reenters(t, e, d) {
			continue
		}
		passed = append(passed, d)
		rivals = append(rivals, trigger.Contender{Slot: r.campaign.Slot, Shadow: shadow(r.campaign)})
	}
	for i, d := range passed {
		if w := trigger.Winner(rivals, i); w != i {
			winner := passed[w].reader.campaign
			v := matched(d, e, Priority)
			emit(t, v, "", &detail{
				Slot: winner.Slot, Winner: winner.Name, WinnerPriority: &winner.Priority, Priority: &d.reader.campaign.Priority,
				Shadow: shadow(d.reader.campaign),
			})
			continue
		}
		send(t, e, d)
	}
}

// step takes the event to one campaign's pattern; false: no match.
func step(t *turn, e *schemas.Event, r *reader, props *campaign.Properties) (decision, bool) {
	counts, resets := r.reads(props)
	if !counts && !resets {
		return decision{}, false
	}
	p := progress(t, e.Tenant, r)
	ms := clock(t, e, r.campaign)
	next, out := r.machine.Step(state(p), trigger.Event{ID: e.Id, TimeMS: ms, Counts: counts, Resets: resets})
	keep(p, next)
	if out.Late {
		v := about(r.campaign, e, Late)
		v.EventTimeMs = ms
		emit(t, v, "", &detail{
			HighestMS: next.HighestMS, LateByMS: next.HighestMS - ms, AllowedLatenessMS: r.machine.AllowedLateness.Milliseconds(),
			Shadow: shadow(r.campaign),
		})
		return decision{}, false
	}
	bound(t.State, p)
	if out.Match == nil {
		return decision{}, false
	}
	return decision{r, p, out.Match, matchID(t, e, r.campaign, out.Match)}, true
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
func matchID(t *turn, e *schemas.Event, c *campaign.Campaign, m *trigger.Match) string {
	last := m.EventIDs[len(m.EventIDs)-1]
	parts := []string{e.Tenant + "/" + c.Name, t.Key, last}
	if m.Reusable && last != e.Id {
		parts = append(parts, e.Id)
	}
	return processors.DeriveID(parts...)
}

// reenters is the REENTRY gate.
func reenters(t *turn, e *schemas.Event, d decision) bool {
	gate, spent := d.reader.campaign.Reentry, trigger.Spent{Fired: d.progress.Fired, LastMS: d.progress.LastMatchMs}
	if gate.Allows(spent, d.match.LastMS) {
		return true
	}
	emit(t, matched(d, e, Reentry), "", &detail{
		Mode: string(gate.Mode), Fired: spent.Fired, LastMatchMS: spent.LastMS,
		EveryMS: gate.Every.Milliseconds(), UntilMS: gate.UntilMS(spent), Shadow: shadow(d.reader.campaign),
	})
	return false
}

// send is the last gate: the match spends its re-entry and, unless in shadow, goes to its channels.
func send(t *turn, e *schemas.Event, d decision) {
	c, p := d.reader.campaign, d.progress
	p.Fired++
	p.LastMatchMs, p.Shadow = d.match.LastMS, shadow(c)
	now := t.Now.UnixMilli()
	var expires int64
	if c.ExpireAfter > 0 {
		expires = now + c.ExpireAfter.Milliseconds()
	}
	tenant, user := schemas.SplitKey(t.Key)
	for _, ch := range c.Channels {
		v := matched(d, e, Sent)
		v.Channel = ch.Type
		if !shadow(c) {
			v.ActionId = processors.DeriveID(d.id, ch.Type)
			processors.Emit(t, topics.Actions, t.Key, &schemas.Action{
				Id: v.ActionId, Tenant: tenant, User: user, Campaign: c.Name, Version: c.Version,
				Channel: ch.Type, Content: ch.Content, Slot: c.Slot, Priority: c.Priority,
				DecidedMs: now, ExpiresMs: expires, MatchId: d.id, EventId: e.Id, Payload: ch.Payload,
			})
		}
		emit(t, v, ch.Type, &detail{
			Times: d.reader.machine.Times, WithinMS: d.reader.machine.Within.Milliseconds(), SpanMS: d.match.LastMS - d.match.FirstMS,
			ExpiresMS: expires, Shadow: shadow(c),
		})
	}
}

// shadow says that a campaign decides but sends nothing.
func shadow(c *campaign.Campaign) bool { return c.State == campaign.Shadow }
