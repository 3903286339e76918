package engage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/processors/engage/pack"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/processors/engage/tree"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/schemas"
)

// maxEntryBytes bounds the unconsumed events of all campaigns in a row, so that a user with many
// long event ids cannot outgrow the row: the campaign that takes one more lets its oldest go.
const maxEntryBytes = 128 << 10

// What one event costs besides its id, its step and its number.
const (
	entryBytes  = 10
	stepBytes   = 3
	numberBytes = 8
)

// MaxParts is how many values of a correlate field are followed of one user and campaign; the one
// that was longest unseen makes room.
const MaxParts = 64

// rowCodec stores rows packed and reads plain ones too; it refuses a row that no step can have left.
type rowCodec struct{}

// Append implements schemas.Codec.
func (rowCodec) Append(dst []byte, row *schemas.EngageRow) ([]byte, error) {
	return pack.Append(dst, row)
}

// Decode implements schemas.Codec.
func (rowCodec) Decode(b []byte) (*schemas.EngageRow, error) {
	r, err := pack.Decode(b)
	if err != nil {
		return nil, err
	}
	if len(r.RecentIds) != len(r.RecentS) || len(r.RecentIds) > RecentIDs || !slices.IsSorted(r.RecentS) {
		return nil, fmt.Errorf("%w: engage row: %d recent ids with %d times", schemas.ErrUndecodable, len(r.RecentIds), len(r.RecentS))
	}
	if err := errors.Join(gate.Check(r.Gates), identity.Check(r)); err != nil {
		return nil, fmt.Errorf("%w: engage row: %w", schemas.ErrUndecodable, err)
	}
	if err := profile.Check(r.Profile); err != nil {
		return nil, fmt.Errorf("%w: engage row: %w", schemas.ErrUndecodable, err)
	}
	for i, t := range r.Triggers {
		if i > 0 && r.Triggers[i-1].Campaign >= t.Campaign {
			return nil, fmt.Errorf("%w: engage row: campaign %q out of order", schemas.ErrUndecodable, t.Campaign)
		}
		if len(t.Parts) > MaxParts {
			return nil, fmt.Errorf("%w: engage row: campaign %q: %d parts", schemas.ErrUndecodable, t.Campaign, len(t.Parts))
		}
		err := checkLists(t.Campaign, state(t))
		for _, part := range t.Parts {
			err = errors.Join(err, checkLists(t.Campaign, partState(t, part)))
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// checkLists says why no step can have left the lists of a progress.
func checkLists(campaign string, s trigger.State) error {
	if n := len(s.IDs); n != len(s.TimesMS) || !fits(len(s.Steps), n) || !fits(len(s.Numbers), n) || n > trigger.MaxEntries || !slices.IsSorted(s.TimesMS) {
		return fmt.Errorf("%w: engage row: campaign %q: %d events with %d times, %d steps and %d numbers",
			schemas.ErrUndecodable, campaign, n, len(s.TimesMS), len(s.Steps), len(s.Numbers))
	}
	return nil
}

// fits says whether a list is there for each of n entries, or not there.
func fits(list, n int) bool { return list == 0 || list == n }

// progress returns the user's progress with a campaign, new if need be: a good time for forgetGone. A
// progress of another pattern starts afresh; a re-entry that was spent in shadow is given back when the
// campaign sends.
func progress(t *turn, r *reader) (p *schemas.TriggerRow, fresh bool) {
	row, c := t.State, r.campaign
	i, found := find(row.Triggers, c.Name)
	if !found {
		row.Triggers = slices.Insert(row.Triggers, i, &schemas.TriggerRow{Campaign: c.Name, Pattern: c.PatternHash})
		return row.Triggers[i], true
	}
	p = row.Triggers[i]
	if p.Pattern != c.PatternHash || !fitsAll(&r.machine, p) {
		p.Pattern = c.PatternHash
		restart(p)
	}
	if p.Shadow && !shadow(c) {
		p.Shadow, p.Fired, p.LastMatchMs = false, 0, 0
	}
	return p, false
}

// find is where the progress with a campaign is, or belongs.
func find(all []*schemas.TriggerRow, name string) (at int, found bool) {
	from, to := 0, len(all)
	for from < to {
		switch mid := (from + to) / 2; strings.Compare(all[mid].Campaign, name) {
		case 0:
			return mid, true
		case -1:
			from = mid + 1
		default:
			to = mid
		}
	}
	return from, false
}

// fitsAll says whether a progress may be one of this machine.
func fitsAll(m *trigger.Machine, p *schemas.TriggerRow) bool {
	return m.Fits(state(p)) && !slices.ContainsFunc(p.Parts, func(part *schemas.TriggerPart) bool { return !m.Fits(partState(p, part)) })
}

// forgetGone drops the progress with campaigns that are declared no more.
func forgetGone(row *schemas.EngageRow, tenant string, c *Catalog) {
	for _, p := range row.Triggers { // nearly always there is nothing to delete
		if c.Campaign(tenant, p.Campaign) == nil {
			row.Triggers = slices.DeleteFunc(row.Triggers, func(p *schemas.TriggerRow) bool { return c.Campaign(tenant, p.Campaign) == nil })
			return
		}
	}
}

// state is the pattern's part of a progress; keep puts the next one back.
func state(p *schemas.TriggerRow) trigger.State {
	return trigger.State{
		IDs: p.EventIds, TimesMS: p.EventTimesMs, Steps: p.EventSteps, Numbers: p.EventNumbers,
		HighestMS: p.HighestMs, FloorMS: p.FloorMs, DueMS: p.DueMs,
	}
}

func keep(p *schemas.TriggerRow, s trigger.State) {
	p.EventIds, p.EventTimesMs, p.EventSteps, p.EventNumbers = s.IDs, s.TimesMS, s.Steps, s.Numbers
	p.HighestMs, p.FloorMs, p.DueMs = s.HighestMS, s.FloorMS, s.DueMS
}

// restart forgets how far the user came; what was spent stays.
func restart(p *schemas.TriggerRow) {
	keep(p, trigger.State{})
	p.Parts = nil
}

// states are the progress with a campaign: one, and one for each value of its correlate field.
func states(p *schemas.TriggerRow) []trigger.State {
	all := append(make([]trigger.State, 0, 1+len(p.Parts)), state(p))
	for _, part := range p.Parts {
		all = append(all, partState(p, part))
	}
	return all
}

// partState is the progress of one value; keepPart puts the next one back. Late is late for all
// values alike.
func partState(p *schemas.TriggerRow, part *schemas.TriggerPart) trigger.State {
	return trigger.State{
		IDs: part.EventIds, TimesMS: part.EventTimesMs, Steps: part.EventSteps, Numbers: part.EventNumbers,
		HighestMS: p.HighestMs, FloorMS: part.FloorMs, DueMS: part.DueMs,
	}
}

func keepPart(p *schemas.TriggerRow, part *schemas.TriggerPart, s trigger.State) {
	part.EventIds, part.EventTimesMs, part.EventSteps, part.EventNumbers = s.IDs, s.TimesMS, s.Steps, s.Numbers
	part.FloorMs, part.DueMs = s.FloorMS, s.DueMS
	p.HighestMs = max(p.HighestMs, s.HighestMS)
}

// bound keeps a row's events within maxEntryBytes, at the cost of the oldest of p.
func bound(row *schemas.EngageRow, p *schemas.TriggerRow) {
	if entries(row)*maxEntry <= maxEntryBytes {
		return
	}
	size := 0
	for _, t := range row.Triggers {
		size += sizeOf(state(t))
		for _, part := range t.Parts {
			size += sizeOf(partState(t, part))
		}
	}
	if size <= maxEntryBytes {
		return
	}
	s := state(p)
	size = shrink(&s, size)
	keep(p, s)
	for _, part := range p.Parts {
		s := partState(p, part)
		size = shrink(&s, size)
		keepPart(p, part, s)
	}
}

// maxEntry is the most that one event costs.
const maxEntry = schemas.MaxIDBytes + entryBytes + stepBytes + numberBytes

// entries are a row's events.
func entries(row *schemas.EngageRow) (n int) {
	for _, t := range row.Triggers {
		n += eventsOf(t)
	}
	return n
}

// eventsOf is how many events a progress holds.
func eventsOf(p *schemas.TriggerRow) int {
	n := len(p.EventIds)
	for _, part := range p.Parts {
		n += len(part.EventIds)
	}
	return n
}

func sizeOf(s trigger.State) int {
	size := entryBytes*len(s.IDs) + stepBytes*len(s.Steps) + numberBytes*len(s.Numbers)
	for _, id := range s.IDs {
		size += len(id)
	}
	return size
}

// shrink lets the oldest go until a row of this size is within maxEntryBytes, and returns its size.
func shrink(s *trigger.State, size int) int {
	rest := size - sizeOf(*s)
	n := 0
	for ; size > maxEntryBytes && n < len(s.IDs); n++ {
		size -= len(s.IDs[n]) + entryBytes
	}
	s.DropOldest(n)
	return rest + sizeOf(*s)
}

// onWake forgets a user of whom nothing was heard for RecentFor, or for as long as a match may
// still reach back if that is longer. What stays is the re-entry that was spent, and which ids point here.
func onWake(t *turn) {
	row := t.State
	if away(row) { // a pointer that nobody used for long
		t.Forget()
		return
	}
	tenant, _ := schemas.SplitKey(t.Key)
	catalog := processors.Look(t, declared)
	respondDue(t)
	decideAbsences(t)
	wait := RecentFor
	for _, p := range row.Triggers {
		if c := catalog.Campaign(tenant, p.Campaign); c != nil && len(p.EventIds)+len(p.Parts) > 0 {
			wait = max(wait, c.Trigger.Frame.Within+c.Trigger.Frame.AllowedLateness)
		}
	}
	var last time.Time
	if n := len(row.RecentS); n > 0 {
		last = time.Unix(int64(row.RecentS[n-1]), 0)
	}
	if due := last.Add(wait + time.Second); due.After(t.Now) {
		t.WakeAt(due)
		watch(t)
		return
	}
	if nextDeadline(row) != 0 {
		watch(t)
		return
	}
	row.RecentIds, row.RecentS = nil, nil
	row.Triggers = slices.DeleteFunc(row.Triggers, func(p *schemas.TriggerRow) bool { return p.Fired == 0 })
	for _, p := range row.Triggers {
		restart(p)
	}
	changes := forgetProfile(t)
	if forgetGates(t) || changes {
		t.WakeAt(t.Now.Add(RecentFor))
	}
	if pointers := identity.Idle(row); len(row.Triggers) == 0 && row.Gates == nil && row.Profile == nil && !pointers {
		t.Forget()
	}
}

// What a row remembers of the ids that were stepped.
const (
	// RecentIDs is how many ids are remembered; the oldest make room.
	RecentIDs = 512
	// RecentFor is how long an id is remembered, by record time.
	RecentFor = 7 * 24 * time.Hour
)

// firstSeen remembers an id and says whether it is new. now is the record's time. Ids are told
// apart by 64 bits: among 512, two meet once in 10^14 events.
func firstSeen(row *schemas.EngageRow, id uint64, now time.Time) bool {
	s, oldest := seconds(now), seconds(now.Add(-RecentFor))
	if len(row.RecentS) > 0 && row.RecentS[0] < oldest {
		drop, _ := slices.BinarySearch(row.RecentS, oldest)
		row.RecentIds, row.RecentS = row.RecentIds[drop:], row.RecentS[drop:]
	}
	if slices.Contains(row.RecentIds, id) {
		return false
	}
	// Sliding along a slice moves its ids only when its capacity ends, once in hundreds of events.
	over := max(0, len(row.RecentIds)+1-RecentIDs)
	row.RecentIds = append(row.RecentIds[over:], id)
	row.RecentS = append(row.RecentS[over:], s)
	return true
}

// eventHash and deliveryHash are what a row remembers of an event and of a channel's answer.
func eventHash(id string) uint64 { return hashOf("e", id) }

func deliveryHash(action, status string) uint64 { return hashOf("d:"+action, status) }

// seconds is Unix time as a row keeps it, up to the year 2106.
func seconds(t time.Time) uint32 { return uint32(min(max(0, t.Unix()), math.MaxUint32)) }

// hashOf is what rows keep of two strings.
func hashOf(a, b string) uint64 { return tree.Hash(a, b) }
