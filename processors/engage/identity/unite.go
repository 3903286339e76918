package identity

import (
	"cmp"
	"slices"

	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/schemas"
)

// Past are the events that a row remembers, by (time, arrival), without those for which seen is true.
func Past(row *schemas.EngageRow, seen func(id string) bool) []*schemas.RememberedEvent {
	all := slices.Clone(row.Identity.GetRemembered())
	all = slices.DeleteFunc(all, func(e *schemas.RememberedEvent) bool { return seen(e.Id) })
	slices.SortStableFunc(all, func(a, b *schemas.RememberedEvent) int { return cmp.Compare(a.TimeMs, b.TimeMs) })
	return all
}

// Unite takes over what other has besides progress and profile: the ids that it stepped, at most
// maxRecent of both, newest last; spends, responses that wait and conversions that are awaited; ids that
// point to it. What the row says of itself, its time zone, wins. Responses beyond what a row keeps come
// back, those that wait longest.
func Unite(row, other *schemas.EngageRow, maxRecent int) (dropped []*schemas.PendingResponse) {
	uniteRecent(row, other, maxRecent)
	for _, id := range other.Identity.GetClaimed() {
		Claim(row, id)
	}
	return uniteGates(row, other.Gates)
}

func uniteRecent(row, other *schemas.EngageRow, most int) {
	type seen struct {
		id uint64
		s  uint32
	}
	var all []seen
	for _, r := range []*schemas.EngageRow{row, other} {
		for i, id := range r.RecentIds {
			all = append(all, seen{id, r.RecentS[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.s, b.s) })
	known := make(map[uint64]bool, len(all))
	all = slices.DeleteFunc(all, func(e seen) bool {
		was := known[e.id]
		known[e.id] = true
		return was
	})
	row.RecentIds, row.RecentS = nil, nil
	for _, e := range all[max(0, len(all)-most):] {
		row.RecentIds, row.RecentS = append(row.RecentIds, e.id), append(row.RecentS, e.s)
	}
}

func uniteGates(row *schemas.EngageRow, other *schemas.GateState) (dropped []*schemas.PendingResponse) {
	if other == nil {
		return nil
	}
	if row.Gates == nil {
		row.Gates = &schemas.GateState{}
	}
	g := row.Gates
	g.Zone = cmp.Or(g.Zone, other.Zone)
	g.Spends = append(g.Spends, other.Spends...)
	slices.SortStableFunc(g.Spends, func(a, b *schemas.Spend) int { return cmp.Compare(a.AtMs, b.AtMs) })
	g.Spends = g.Spends[max(0, len(g.Spends)-gate.MaxSpends):]
	g.Awaited = append(g.Awaited, other.Awaited...)
	slices.SortStableFunc(g.Awaited, func(a, b *schemas.AwaitedConversion) int { return cmp.Compare(a.AtMs, b.AtMs) })
	g.Awaited = g.Awaited[max(0, len(g.Awaited)-gate.MaxAwaited):]
	g.Pending = append(g.Pending, other.Pending...)
	slices.SortStableFunc(g.Pending, func(a, b *schemas.PendingResponse) int { return cmp.Compare(a.DueMs, b.DueMs) })
	if len(g.Pending) > gate.MaxPending {
		dropped = slices.Clone(g.Pending[gate.MaxPending:])
		g.Pending = g.Pending[:gate.MaxPending]
	}
	return dropped
}

// UniteSpent takes over the re-entry that other spent with a campaign. inShadow says that the campaign
// only pretends: what was sent in earnest counts for more than what was not.
func UniteSpent(p, other *schemas.TriggerRow, inShadow bool) {
	if other.Fired == 0 || other.Shadow && !inShadow {
		return
	}
	if p.Fired > 0 && p.Shadow != other.Shadow {
		if p.Shadow {
			p.Fired, p.LastMatchMs, p.Shadow = other.Fired, other.LastMatchMs, false
		}
		return
	}
	p.Fired, p.LastMatchMs, p.Shadow = p.Fired+other.Fired, max(p.LastMatchMs, other.LastMatchMs), other.Shadow
}
