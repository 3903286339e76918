package profile

import (
	"slices"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
)

// taken is what a computed trait takes of one event.
type taken struct {
	timeMS int64
	number float64
	value  string
}

// Compute takes one event of the definition's name into the user's state. timeMS is its time, nowMS
// the record's; an event ahead of now counts as now, one from before the window not at all. False:
// nothing changed. Each event must come once: duplicates are left out before. It costs a search among
// the panes of the window, or among MaxDistinct hashes.
func (d *Definition) Compute(p *schemas.ProfileState, props *predicate.Properties, timeMS, nowMS int64) bool {
	e := taken{timeMS: max(0, min(timeMS, nowMS)), number: 1}
	if d.pane(e.timeMS) < d.floor(nowMS) || !d.Where.Matches(props) || !d.take(&e, props) {
		return false
	}
	i, found := d.find(p)
	if !found {
		p.Computed = slices.Insert(p.Computed, i, &schemas.ComputedTrait{Definition: d.ID})
	}
	c := p.Computed[i]
	if !d.fits(c) {
		c = &schemas.ComputedTrait{Definition: d.ID}
		p.Computed[i] = c
	}
	prune(c, d.floor(nowMS))
	switch d.Of {
	case First:
		d.takeFirst(c, e)
	case Last, FirstSeen, LastSeen, SinceFirst, SinceLast:
		d.takeOne(c, e)
	case Decayed:
		d.takeDecayed(c, e)
	case Distinct:
		takeHash(c, d.pane(e.timeMS), hash(e.value))
	case Count, Sum, Min, Max, Avg, DaysActive:
		d.takePane(c, e)
	}
	return true
}

// take reads what the function needs of the event; false: it is not there.
func (d *Definition) take(e *taken, props *predicate.Properties) (ok bool) {
	switch d.Of {
	case Sum, Min, Max, Avg:
		e.number, ok = d.Field.Number(props)
		return ok
	case Decayed:
		if d.Field.String() == "" {
			return true
		}
		e.number, ok = d.Field.Number(props)
		return ok
	case First, Last:
		e.value, ok = d.Field.Value(props)
		return ok && len(e.value) <= MaxValueBytes
	case Distinct:
		e.value, ok = d.Field.Value(props)
		return ok
	case Count, DaysActive, FirstSeen, LastSeen, SinceFirst, SinceLast:
	}
	return true
}

func (d *Definition) find(p *schemas.ProfileState) (int, bool) {
	return slices.BinarySearchFunc(p.GetComputed(), d.ID, func(c *schemas.ComputedTrait, id uint64) int {
		switch {
		case c.Definition < id:
			return -1
		case c.Definition > id:
			return 1
		}
		return 0
	})
}

// takePane adds the event to its pane.
func (d *Definition) takePane(c *schemas.ComputedTrait, e taken) {
	i, fresh := slot(c, d.pane(e.timeMS))
	if fresh {
		if d.Of == Count || d.Of == Avg {
			c.Counts = slices.Insert(c.Counts, i, 1)
		}
		if d.Of != Count && d.Of != DaysActive {
			c.Numbers = slices.Insert(c.Numbers, i, e.number)
		}
		return
	}
	switch d.Of {
	case Count:
		c.Counts[i]++
	case Sum:
		c.Numbers[i] += e.number
	case Avg:
		c.Counts[i]++
		c.Numbers[i] += e.number
	case Min:
		c.Numbers[i] = min(c.Numbers[i], e.number)
	case Max:
		c.Numbers[i] = max(c.Numbers[i], e.number)
	default: // DaysActive: the day is there
	}
}

// takeFirst keeps the first value of each pane.
func (d *Definition) takeFirst(c *schemas.ComputedTrait, e taken) {
	i, fresh := slot(c, d.pane(e.timeMS))
	switch {
	case fresh:
		c.Values, c.TimesMs = slices.Insert(c.Values, i, []byte(e.value)), slices.Insert(c.TimesMs, i, e.timeMS)
	case e.timeMS < c.TimesMs[i]:
		c.Values[i], c.TimesMs[i] = []byte(e.value), e.timeMS
	}
}

// takeOne keeps one event: the first or the last. Of equal times the first keeps the one that came
// first, the last the one that came last.
func (d *Definition) takeOne(c *schemas.ComputedTrait, e taken) {
	first := d.Of == FirstSeen || d.Of == SinceFirst
	if len(c.TimesMs) > 0 && (first && e.timeMS >= c.TimesMs[0] || !first && e.timeMS < c.TimesMs[0]) {
		return
	}
	c.Offsets, c.Oldest, c.TimesMs = []uint32{0}, d.pane(e.timeMS), []int64{e.timeMS}
	if d.Of == Last {
		c.Values = [][]byte{[]byte(e.value)}
	}
}

// takeDecayed brings the sum to the newest time and adds the event with its weight there.
func (d *Definition) takeDecayed(c *schemas.ComputedTrait, e taken) {
	if len(c.Numbers) == 0 {
		c.Offsets, c.Numbers, c.TimesMs = []uint32{0}, []float64{e.number}, []int64{e.timeMS}
		return
	}
	if ahead := e.timeMS - c.TimesMs[0]; ahead >= 0 {
		c.Numbers[0] = float64(c.Numbers[0]*d.weight(ahead)) + e.number
		c.TimesMs[0] = e.timeMS
	} else {
		c.Numbers[0] += float64(e.number * d.weight(-ahead))
	}
}

// takeHash remembers when a value was there last. When there are too many values, those whose hash
// does not begin with one more zero bit are left out from then on: adaptive sampling (Wegman; Flajolet
// 1990), whose standard error is about 1.2/sqrt(MaxDistinct), 11 %.
func takeHash(c *schemas.ComputedTrait, pane int64, h uint64) {
	if len(c.Hashes) == 0 {
		c.Level = 0
	}
	if !sampled(h, c.Level) {
		return
	}
	if len(c.Offsets) == 0 {
		c.Oldest = pane
	}
	rebase(c, pane)
	offset := uint32(pane - c.Oldest)
	if i := slices.Index(c.Hashes, h); i >= 0 {
		if c.Offsets[i] >= offset {
			return
		}
		c.Hashes, c.Offsets = slices.Delete(c.Hashes, i, i+1), slices.Delete(c.Offsets, i, i+1)
	}
	i, _ := slices.BinarySearch(c.Offsets, offset+1)
	c.Hashes, c.Offsets = slices.Insert(c.Hashes, i, h), slices.Insert(c.Offsets, i, offset)
	for len(c.Hashes) > MaxDistinct {
		c.Level++
		kept := 0
		for i, h := range c.Hashes {
			if sampled(h, c.Level) {
				c.Hashes[kept], c.Offsets[kept] = h, c.Offsets[i]
				kept++
			}
		}
		c.Hashes, c.Offsets = c.Hashes[:kept], c.Offsets[:kept]
	}
}

func sampled(h uint64, level uint32) bool { return level == 0 || h>>(64-level) == 0 }

// slot finds the entry of a pane, or makes one in Offsets; fresh says that the other lists lack it.
func slot(c *schemas.ComputedTrait, pane int64) (i int, fresh bool) {
	if len(c.Offsets) == 0 {
		c.Oldest = pane
	}
	rebase(c, pane)
	offset := uint32(pane - c.Oldest)
	i, found := slices.BinarySearch(c.Offsets, offset)
	if !found {
		c.Offsets = slices.Insert(c.Offsets, i, offset)
	}
	return i, !found
}

// rebase makes room for a pane before the oldest.
func rebase(c *schemas.ComputedTrait, pane int64) {
	if back := c.Oldest - pane; back > 0 {
		for i := range c.Offsets {
			c.Offsets[i] += uint32(back)
		}
		c.Oldest = pane
	}
}

// prune drops the panes before floor.
func prune(c *schemas.ComputedTrait, floor int64) {
	gone := 0
	for gone < len(c.Offsets) && c.Oldest+int64(c.Offsets[gone]) < floor {
		gone++
	}
	if gone == 0 {
		return
	}
	c.Offsets = c.Offsets[gone:]
	c.Counts, c.Numbers = c.Counts[min(gone, len(c.Counts)):], c.Numbers[min(gone, len(c.Numbers)):]
	c.Values, c.TimesMs = c.Values[min(gone, len(c.Values)):], c.TimesMs[min(gone, len(c.TimesMs)):]
	c.Hashes = c.Hashes[min(gone, len(c.Hashes)):]
	if len(c.Offsets) > 0 {
		base := c.Offsets[0]
		for i := range c.Offsets {
			c.Offsets[i] -= base
		}
		c.Oldest += int64(base)
	}
}
