package engage

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// response is a match that re-entry allows, on its way through the gates after it: at once, or when
// it has waited.
type response struct {
	campaign *campaign.Campaign
	// id of the match; eventID completed it.
	id, eventID string
	eventIDs    []string
	// firstMS and lastMS are the times of the match's first and last event, on the campaign's clock.
	firstMS, lastMS int64
	// dueMS is since when it may be sent.
	dueMS int64
	// number is what an aggregate came to; not kept while it waits.
	number float64
	// waited says that the delay is over.
	waited bool
}

// respond takes responses through the gates AUDIENCE once more, where they waited, DELAY, QUIET, PRIORITY, CAP, CONTROL, EXPIRED and SENT.
// Those that are not held back by the first two compete for their slots: what comes of one event, or
// is due at one moment.
func respond(t *turn, all []response) {
	ready := slices.DeleteFunc(all, func(m response) bool {
		if m.waited && dismissed(t, m) || delays(t, m) || quiet(t, m) {
			return true
		}
		// What did not wait was asked at its match, just now.
		return !m.waited && m.campaign.Audience != nil && !m.campaign.Audience.Match && dismissed(t, m)
	})
	slices.SortStableFunc(ready, func(a, b response) int {
		return cmp.Or(cmp.Compare(b.campaign.Priority, a.campaign.Priority), cmp.Compare(a.campaign.Name, b.campaign.Name))
	})
	var rivals []trigger.Contender
	for _, m := range ready {
		rivals = append(rivals, trigger.Contender{Slot: m.campaign.Slot, Shadow: shadow(m.campaign)})
	}
	for i, m := range ready {
		w := trigger.Winner(rivals, i)
		if w != i {
			winner := ready[w].campaign
			m.emit(t, Priority, "", &detail{Slot: winner.Slot, Winner: winner.Name, WinnerPriority: &winner.Priority, Priority: &m.campaign.Priority})
			continue
		}
		if !capped(t, m) && !controlled(t, m) {
			send(t, m)
		}
	}
}

// quiet is the QUIET gate: it says whether the response is held back.
func quiet(t *turn, m response) bool {
	h := m.campaign.Quiet
	if h == nil {
		return false
	}
	end, quiet := h.End(t.Now, zoneOf(t.State))
	if !quiet {
		return false
	}
	d := &detail{Action: "cancel", UntilMS: end.UnixMilli(), Zone: zoneName(t.State, h)}
	if !h.Cancel {
		d.Action = "defer"
		return wait(t, m, Quiet, end, d)
	}
	m.emit(t, Quiet, "", d)
	return true
}

// capped is the CAP gate: it says whether a cap is full.
func capped(t *turn, m response) bool {
	for _, c := range m.campaign.Caps {
		count, until := c.Full(t.State.Gates.GetSpends(), m.subject(), t.Now.UnixMilli())
		if until != 0 {
			m.emit(t, Capped, "", &detail{Scope: c.Scope, Max: c.Max, PerMS: c.Per.Milliseconds(), Count: count, UntilMS: until})
			return true
		}
	}
	return false
}

// controlled is the CONTROL gate. Whom it holds out has used up re-entry, and the campaign's part of
// its caps, as if it had been sent: the campaign goes on alike for those who see it and those who do not.
func controlled(t *turn, m response) bool {
	e := m.campaign.Experiment
	if e == nil || e.Holdout == 0 {
		return false
	}
	_, user := schemas.SplitKey(t.Key)
	bucket, control := e.Control(user)
	if !control {
		return false
	}
	spend(t, m, gate.SpentControl, "")
	await(t, m, gate.SpentControl, "")
	m.emit(t, Control, "", &detail{Bucket: &bucket, Holdout: e.Holdout, Salt: e.Salt})
	return true
}

// send is the last gate: the match spends its re-entry and, unless in shadow, goes to its channels.
func send(t *turn, m response) {
	c, now := m.campaign, t.Now.UnixMilli()
	var expires int64
	if c.ExpireAfter > 0 {
		if expires = m.dueMS + c.ExpireAfter.Milliseconds(); expires <= now {
			m.emit(t, Expired, "", &detail{ExpiresMS: expires})
			return
		}
	}
	tenant, user := schemas.SplitKey(t.Key)
	d := &detail{WithinMS: c.Trigger.Frame.Within.Milliseconds(), SpanMS: m.lastMS - m.firstMS, ExpiresMS: expires, Shadow: shadow(c)}
	if k := c.Trigger.Pattern.Count; k != nil {
		d.Times = k.Times
	}
	if c.Trigger.Pattern.Aggregate != nil && !m.waited {
		d.Number = &m.number
	}
	variant := ""
	if e := c.Experiment; e != nil && len(e.Variants) > 0 {
		bucket := uint32(0)
		variant, bucket = e.Variant(user)
		d.VariantBucket = &bucket
	}
	var action string
	for _, ch := range c.Channels {
		v := m.verdict(Sent)
		v.Channel, v.Variant = ch.Type, variant
		if !shadow(c) {
			v.ActionId = processors.DeriveID(m.id, ch.Type)
			action = v.ActionId
			content, payload := ch.Shows(variant)
			processors.Emit(t, topics.Actions, t.Key, &schemas.Action{
				Id: v.ActionId, Tenant: tenant, User: user, Campaign: c.Name, Version: c.Version, Variant: variant,
				Channel: ch.Type, Content: content, Slot: c.Slot, Priority: c.Priority,
				DecidedMs: now, ExpiresMs: expires, MatchId: m.id, EventId: m.eventID, Payload: payload,
			})
		}
		emit(t, v, ch.Type, d)
	}
	spend(t, m, gate.SpentSent, action)
	await(t, m, gate.SpentSent, variant)
}

// subject is the response as caps see it.
func (m *response) subject() gate.Subject {
	c := m.campaign
	return gate.Subject{Campaign: c.Name, Channel: c.Channels[0].Type, Tags: c.Tags, Shadow: shadow(c)}
}

// verdict is a verdict on the match.
func (m *response) verdict(verdict string) *schemas.Verdict {
	return &schemas.Verdict{
		Campaign: m.campaign.Name, Version: m.campaign.Version, Verdict: verdict,
		MatchId: m.id, EventId: m.eventID, EventIds: m.eventIDs, EventTimeMs: m.lastMS,
	}
}

func (m *response) emit(t *turn, verdict, of string, d *detail) {
	d.Shadow = shadow(m.campaign)
	emit(t, m.verdict(verdict), of, d)
}

// spend uses up what the response costs: the campaign's re-entry, and its place under the caps.
func spend(t *turn, m response, kind uint32, actionID string) {
	c := m.campaign
	if shadow(c) {
		kind = gate.SpentShadow
	}
	p := spentOf(t.State, c)
	p.Fired++
	p.LastMatchMs, p.Shadow = max(p.LastMatchMs, m.lastMS), shadow(c)
	sp := &schemas.Spend{AtMs: t.Now.UnixMilli(), Kind: kind, Scopes: m.subject().Scopes()}
	if actionID != "" {
		sp.Action = actionHash(actionID)
	}
	g := gates(t.State)
	g.Spends = gate.Spend(g.Spends, sp, reachIn(t))
}

// reachIn says how far the caps of the tenant's campaigns look.
func reachIn(t *turn) func(scope uint64) gate.Reach {
	tenant, _ := schemas.SplitKey(t.Key)
	catalog := processors.Look(t, declared)
	return func(scope uint64) gate.Reach { return catalog.reach(tenant, scope) }
}

// capOf is a cap with the campaign that has it.
type capOf struct {
	campaign *campaign.Campaign
	cap      gate.Cap
}

// reach is how far the caps of a scope look.
func (c *Catalog) reach(tenant string, scope uint64) (r gate.Reach) {
	if c == nil {
		return r
	}
	key := strconv.AppendUint(make([]byte, 0, 16), scope, 36)
	all, _ := c.caps.Get(tenant, string(key))
	for _, o := range all {
		r.Max, r.Per = max(r.Max, o.cap.Max), max(r.Per, o.cap.Per)
	}
	return r
}

// recap puts the caps of a campaign in place of those of the one before; nil for none. A pause keeps
// them: what is sent meanwhile by others counts when it is over.
func (c *Catalog) recap(tenant string, before, after *campaign.Campaign) {
	each := func(cp *campaign.Campaign, change func([]capOf, gate.Cap) []capOf) {
		if cp == nil || cp.State == campaign.Draft || cp.State == campaign.Archived || len(cp.Channels) == 0 {
			return
		}
		s := gate.Subject{Campaign: cp.Name, Channel: cp.Channels[0].Type, Tags: cp.Tags}
		for _, limit := range cp.Caps {
			key := strconv.FormatUint(limit.Key(s), 36)
			all, _ := c.caps.Get(tenant, key)
			if all = change(slices.Clone(all), limit); len(all) > 0 {
				c.caps = c.caps.With(tenant, key, all)
			} else {
				c.caps = c.caps.Without(tenant, key)
			}
		}
	}
	each(before, func(all []capOf, _ gate.Cap) []capOf {
		return slices.DeleteFunc(all, func(o capOf) bool { return o.campaign == before })
	})
	each(after, func(all []capOf, limit gate.Cap) []capOf { return append(all, capOf{after, limit}) })
}

// actionHash is what a row remembers of an action.
func actionHash(id string) uint64 { return hashOf("a", id) }

// zoneOf is where the user is; nil: unknown.
func zoneOf(row *schemas.EngageRow) *time.Location {
	zone, err := gate.Zone(row.Gates.GetZone())
	if err != nil {
		return nil
	}
	return zone
}

// zoneName says whose clock was read.
func zoneName(row *schemas.EngageRow, h *gate.Hours) string {
	if h.Zone != nil {
		return h.Zone.String()
	}
	return cmp.Or(row.Gates.GetZone(), "UTC")
}
