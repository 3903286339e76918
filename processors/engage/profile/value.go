package profile

import (
	"math"
	"slices"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
)

// Value is the computed trait of a user at a time: an int64, a float64, or what a field held. False:
// there is none, as the least number of no event. A nil state knows of no event.
func (d *Definition) Value(p *schemas.ProfileState, nowMS int64) (any, bool) {
	c := &schemas.ComputedTrait{}
	if i, found := d.find(p); found && d.fits(p.Computed[i]) {
		c = p.Computed[i]
	}
	from := 0 // what lies before the window may still be there
	for floor := d.floor(nowMS); from < len(c.Offsets) && c.Oldest+int64(c.Offsets[from]) < floor; {
		from++
	}
	n := len(c.Offsets) - from
	switch d.Of {
	case Count:
		total := int64(0)
		for _, k := range c.Counts[min(from, len(c.Counts)):] {
			total += int64(k)
		}
		return total, true
	case DaysActive:
		return int64(n), true
	case Distinct:
		return int64(n) << c.Level, true
	case Decayed:
		if len(c.Numbers) == 0 {
			return 0.0, true
		}
		return finite(float64(c.Numbers[0] * d.weight(nowMS-c.TimesMs[0])))
	case Sum:
		return finite(sum(c.Numbers[min(from, len(c.Numbers)):]))
	default: // needs an event
	}
	if n == 0 {
		return nil, false
	}
	return d.some(c, from, nowMS)
}

// some is the value of a function that needs an event; there is one at from.
func (d *Definition) some(c *schemas.ComputedTrait, from int, nowMS int64) (any, bool) {
	switch d.Of {
	case Min:
		return slices.Min(c.Numbers[from:]), true
	case Max:
		return slices.Max(c.Numbers[from:]), true
	case Avg:
		total := uint64(0)
		for _, k := range c.Counts[from:] {
			total += uint64(k)
		}
		return finite(sum(c.Numbers[from:]) / float64(total))
	case First:
		return predicate.ParseValue(c.Values[from])
	case Last:
		return predicate.ParseValue(c.Values[from])
	case FirstSeen, LastSeen:
		return c.TimesMs[from], true
	case SinceFirst, SinceLast:
		return max(0, nowMS-c.TimesMs[from]) / 1000, true
	default:
		return nil, false
	}
}

func sum(numbers []float64) float64 {
	total := 0.0
	for _, n := range numbers {
		total += n
	}
	return total
}

// finite refuses a number that grew beyond all bounds.
func finite(n float64) (any, bool) { return n, !math.IsNaN(n) && !math.IsInf(n, 0) }

// weight is what is left of 1 after so many milliseconds. It is made of multiplications alone, so
// that it is the same number on every machine, which math.Exp2 does not promise.
func (d *Definition) weight(ms int64) float64 {
	half := d.HalfLife.Milliseconds()
	whole := ms / half
	if whole > 1100 {
		return 0
	}
	w, part := 1.0, float64(ms%half)/float64(half)
	for _, root := range roots {
		if part *= 2; part >= 1 {
			part--
			w = float64(w * root)
		}
	}
	return math.Ldexp(w, -int(whole))
}

// roots are 2^-(1/2), 2^-(1/4), 2^-(1/8), …
var roots = halvings()

func halvings() (all [40]float64) {
	r := 0.5
	for i := range all {
		r = math.Sqrt(r) // exact to the last bit by IEEE 754
		all[i] = r
	}
	return all
}

// Rest drops the computed traits that known does not name, and what lies before the windows of the
// others; one that holds nothing is dropped too.
func Rest(p *schemas.ProfileState, known func(id uint64) *Definition, nowMS int64) {
	if p == nil {
		return
	}
	p.Computed = slices.DeleteFunc(p.Computed, func(c *schemas.ComputedTrait) bool {
		d := known(c.Definition)
		if d == nil {
			return true
		}
		prune(c, d.floor(nowMS))
		return len(c.Offsets) == 0
	})
}
