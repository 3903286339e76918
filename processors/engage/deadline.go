package engage

import (
	"cmp"
	"slices"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// A row has one wake. It serves everything in the row that waits: each part of the Decider says when
// the earliest of what it has in the row is due, and the row wakes at the least of them. To wait for
// something, put its due time into the row, and let a function here find it; to do it when it is
// due, do it in onWake, for everything that is due at t.Now. Nobody else calls t.WakeAt.

// dues are the parts that wait. Each returns its earliest due time in Unix milliseconds of record
// time; 0: nothing of it waits.
func dues(row *schemas.EngageRow) []int64 {
	return []int64{
		absencesDue(row),
		pendingDue(row),
	}
}

// nextDeadline is the earliest due time in a row, in Unix milliseconds of record time; 0: nothing
// waits.
func nextDeadline(row *schemas.EngageRow) int64 {
	var least int64
	for _, ms := range dues(row) {
		if ms != 0 && (least == 0 || ms < least) {
			least = ms
		}
	}
	return least
}

// watch makes sure that a row wakes for the first thing that is due in it, and at the latest when
// the user may be idle. A wake that comes too early finds nothing due and asks for another, so what
// was waited for may be dropped without a word.
func watch(t *turn) {
	if t.Deadline().IsZero() {
		t.WakeAt(t.Now.Add(RecentFor + time.Second))
	}
	if ms := nextDeadline(t.State); ms != 0 && ms < t.Deadline().UnixMilli() {
		t.WakeAt(time.UnixMilli(ms))
	}
}

// watchAfter is watch after an event was counted. The row's deadline is no later than anything that waited
// in it before the turn, so only what the event made due, and the responses that wait, can be earlier.
func watchAfter(t *turn, a *arrival) {
	if t.Deadline().IsZero() {
		watch(t)
		return
	}
	least := a.dueMS
	if ms := pendingDue(t.State); ms != 0 && (least == 0 || ms < least) {
		least = ms
	}
	if least != 0 && least < t.Deadline().UnixMilli() {
		t.WakeAt(time.UnixMilli(least))
	}
}

// absencesDue is when the next absence is decided.
func absencesDue(row *schemas.EngageRow) int64 {
	var least int64
	for _, p := range row.Triggers {
		if p.DueMs != 0 && (least == 0 || p.DueMs < least) {
			least = p.DueMs
		}
	}
	return least
}

// partsDue is when the next absence of any value is decided; 0: none waits.
func partsDue(p *schemas.TriggerRow) int64 {
	var least int64
	for _, part := range p.Parts {
		if part.DueMs != 0 && (least == 0 || part.DueMs < least) {
			least = part.DueMs
		}
	}
	return least
}

// decideAbsences takes what is due at t.Now through the gates. An absence whose campaign does not
// decide now is dropped: what would have cancelled it was not read either.
func decideAbsences(t *turn) {
	tenant, _ := schemas.SplitKey(t.Key)
	catalog, now := processors.Look(t, declared), t.Now.UnixMilli()
	var all [][]decision
	for _, p := range t.State.Triggers {
		if p.DueMs == 0 || p.DueMs > now {
			continue
		}
		c := catalog.Campaign(tenant, p.Campaign)
		if c == nil || !c.State.Decides() {
			restart(p)
			continue
		}
		r := &reader{campaign: c, machine: c.Trigger.Machine()}
		p, _ := progress(t, r) // the same one, and of this pattern
		if found := decisions(t, tenant, "", r, p, due(p, r.machine, now)); len(found) > 0 {
			all = append(all, found)
		}
	}
	slices.SortStableFunc(all, func(a, b []decision) int { return byPriority(*a[0].reader, *b[0].reader) })
	gateAll(t, all)
}

// due are the absences of a progress that are decided, by their deadlines.
func due(p *schemas.TriggerRow, m trigger.Machine, nowMS int64) []*trigger.Match {
	next, out := m.Wake(state(p), nowMS)
	keep(p, next)
	for _, part := range p.Parts {
		next, found := m.Wake(partState(p, part), nowMS)
		keepPart(p, part, next)
		out.Matches = append(out.Matches, found.Matches...)
	}
	if len(p.Parts) > 0 {
		p.DueMs = partsDue(p)
	}
	slices.SortStableFunc(out.Matches, func(a, b *trigger.Match) int { return cmp.Compare(a.LastMS, b.LastMS) })
	return out.Matches
}
