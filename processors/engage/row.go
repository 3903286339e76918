package engage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// maxEntryBytes bounds the unconsumed events of all campaigns in a row, so that a user with many
// long event ids cannot outgrow the row: the campaign that takes one more lets its oldest go.
const maxEntryBytes = 128 << 10

// entryBytes is what one event costs besides its id.
const entryBytes = 10

// rowCodec is protobuf; it refuses a row that no step can have left.
type rowCodec struct {
	schemas.Proto[schemas.EngageRow, *schemas.EngageRow]
}

// Decode implements schemas.Codec.
func (c rowCodec) Decode(b []byte) (*schemas.EngageRow, error) {
	r, err := c.Proto.Decode(b)
	if err != nil {
		return nil, err
	}
	if len(r.RecentIds) != len(r.RecentS) || len(r.RecentIds) > RecentIDs || !slices.IsSorted(r.RecentS) {
		return nil, fmt.Errorf("%w: engage row: %d recent ids with %d times", schemas.ErrUndecodable, len(r.RecentIds), len(r.RecentS))
	}
	for i, t := range r.Triggers {
		switch {
		case i > 0 && r.Triggers[i-1].Campaign >= t.Campaign:
			return nil, fmt.Errorf("%w: engage row: campaign %q out of order", schemas.ErrUndecodable, t.Campaign)
		case len(t.EventIds) != len(t.EventTimesMs) || len(t.EventIds) > trigger.MaxEntries || !slices.IsSorted(t.EventTimesMs):
			return nil, fmt.Errorf("%w: engage row: campaign %q: %d events with %d times", schemas.ErrUndecodable, t.Campaign, len(t.EventIds), len(t.EventTimesMs))
		}
	}
	return r, nil
}

// progress returns the user's progress with a campaign, new if need be. A progress of another
// pattern starts afresh; a re-entry that was spent in shadow is given back when the campaign sends.
func progress(t *turn, tenant string, r *reader) *schemas.TriggerRow {
	row, c := t.State, r.campaign
	i, found := slices.BinarySearchFunc(row.Triggers, c.Name, func(t *schemas.TriggerRow, name string) int { return strings.Compare(t.Campaign, name) })
	if !found {
		row.Triggers = slices.Insert(row.Triggers, i, &schemas.TriggerRow{Campaign: c.Name, Pattern: c.PatternHash})
		p := row.Triggers[i]
		forgetGone(row, tenant, processors.Look(t, declared))
		return p
	}
	p := row.Triggers[i]
	if p.Pattern != c.PatternHash {
		p.Pattern = c.PatternHash
		keep(p, trigger.State{})
	}
	if p.Shadow && !shadow(c) {
		p.Shadow, p.Fired, p.LastMatchMs = false, 0, 0
	}
	return p
}

// forgetGone drops the progress with campaigns that are declared no more.
func forgetGone(row *schemas.EngageRow, tenant string, c *Catalog) {
	row.Triggers = slices.DeleteFunc(row.Triggers, func(p *schemas.TriggerRow) bool { return c.Campaign(tenant, p.Campaign) == nil })
}

// state is the pattern's part of a progress; keep puts the next one back.
func state(p *schemas.TriggerRow) trigger.State {
	return trigger.State{IDs: p.EventIds, TimesMS: p.EventTimesMs, HighestMS: p.HighestMs, FloorMS: p.FloorMs}
}

func keep(p *schemas.TriggerRow, s trigger.State) {
	p.EventIds, p.EventTimesMs, p.HighestMs, p.FloorMs = s.IDs, s.TimesMS, s.HighestMS, s.FloorMS
}

// bound keeps a row's events within maxEntryBytes, at the cost of the oldest of p.
func bound(row *schemas.EngageRow, p *schemas.TriggerRow) {
	size := 0
	for _, t := range row.Triggers {
		for _, id := range t.EventIds {
			size += len(id) + entryBytes
		}
	}
	n := 0
	for ; size > maxEntryBytes && n < len(p.EventIds); n++ {
		size -= len(p.EventIds[n]) + entryBytes
	}
	if n > 0 {
		s := state(p)
		s.DropOldest(n)
		keep(p, s)
	}
}

// onWake forgets a user of whom nothing was heard for RecentFor, or for as long as a match may
// still reach back if that is longer. What stays is the re-entry that was spent.
func onWake(t *turn) {
	row := t.State
	tenant, _ := schemas.SplitKey(t.Key)
	catalog := processors.Look(t, declared)
	wait := RecentFor
	for _, p := range row.Triggers {
		if c := catalog.Campaign(tenant, p.Campaign); c != nil && len(p.EventIds) > 0 {
			wait = max(wait, c.Trigger.Frame.Within+c.Trigger.Frame.AllowedLateness)
		}
	}
	var last time.Time
	if n := len(row.RecentS); n > 0 {
		last = time.Unix(int64(row.RecentS[n-1]), 0)
	}
	if due := last.Add(wait + time.Second); due.After(t.Now) {
		t.WakeAt(due)
		return
	}
	row.RecentIds, row.RecentS = nil, nil
	row.Triggers = slices.DeleteFunc(row.Triggers, func(p *schemas.TriggerRow) bool { return p.Fired == 0 })
	for _, p := range row.Triggers {
		keep(p, trigger.State{})
	}
	if len(row.Triggers) == 0 {
		t.Forget()
	}
}

// watch asks for the first wake of a row.
func watch(t *turn) {
	if t.Deadline().IsZero() {
		t.WakeAt(t.Now.Add(RecentFor + time.Second))
	}
}
