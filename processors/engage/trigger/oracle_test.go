package trigger

import (
	"math"
	"slices"
	"sort"
	"time"
)

// deed is an event as the search knows it; where it is in the log of arrivals is its rank.
type deed struct {
	Event
	rank     int
	consumed bool // used up by a match; it stays where it is
	gone     bool // before a reset
	fired    bool // the crossing of an aggregate was fired at it
}

// search decides by looking at everything that ever came, for every event anew. It shares nothing
// with Machine but the words: it tries all subsequences.
type search struct {
	m       Machine
	deeds   []*deed
	highest int64
	taken   bool
	// barrier is the time before which nothing counts that comes later.
	barrier int64
}

// step is what must come of the next event.
func (o *search) step(rank int, e Event) (late bool, found [][]string, numbers []float64, spans [][2]int64) {
	if o.taken && o.highest-e.TimeMS > o.m.AllowedLateness.Milliseconds() {
		return e.Steps != 0 || e.Resets, nil, nil, nil
	}
	o.taken, o.highest = true, max(o.highest, e.TimeMS)
	if o.m.Kind == Absence {
		if e.Resets {
			e.Steps |= Cancels
		}
		if e.Steps != 0 && e.TimeMS >= o.barrier {
			o.deeds = append(o.deeds, &deed{Event: e, rank: rank})
		}
		ids, spans := o.absences(e.NowMS)
		return false, ids, nil, spans
	}
	if e.Resets {
		for _, d := range o.deeds {
			d.gone = d.gone || d.TimeMS <= e.TimeMS
		}
		o.barrier = max(o.barrier, e.TimeMS)
	}
	if e.TimeMS < o.barrier || e.Steps == 0 && !o.m.Strict {
		return false, nil, nil, nil
	}
	mine := &deed{Event: e, rank: rank}
	o.deeds = append(o.deeds, mine)
	line := o.line()
	if o.m.Kind == Aggregate {
		ids, number, span := o.crossing(line, mine)
		if ids == nil {
			return false, nil, nil, nil
		}
		return false, [][]string{ids}, []float64{number}, [][2]int64{span}
	}
	var best []int
	if o.m.Kind == AllOf {
		best = o.allOf(line, mine)
	} else {
		best = o.subsequence(line, mine)
	}
	if best == nil {
		return false, nil, nil, nil
	}
	var ids []string
	used := slices.Clone(best)
	slices.Sort(used)
	used = slices.Compact(used)
	for _, i := range used {
		ids = append(ids, line[i].ID)
	}
	first, last := line[used[0]], line[used[len(used)-1]]
	if o.m.AfterMatch == SkipToNext {
		first.consumed = true
		o.barrier = max(o.barrier, first.TimeMS)
	} else {
		for _, d := range line[:used[len(used)-1]+1] {
			d.consumed = true
		}
		o.barrier = max(o.barrier, last.TimeMS)
	}
	return false, [][]string{ids}, nil, [][2]int64{{first.TimeMS, last.TimeMS}}
}

// line is everything that was not reset, in time order. What was consumed still has its place.
func (o *search) line() []*deed {
	var line []*deed
	for _, d := range o.deeds {
		if !d.gone {
			line = append(line, d)
		}
	}
	sort.Slice(line, func(i, j int) bool {
		a, b := line[i], line[j]
		return a.TimeMS < b.TimeMS || a.TimeMS == b.TimeMS && a.rank < b.rank
	})
	return line
}

// inFrame says whether a match may reach from one place in the line to another.
func (o *search) inFrame(line []*deed, from, to int) bool {
	if time.Duration(line[to].TimeMS-line[from].TimeMS)*time.Millisecond > o.m.Within {
		return false
	}
	w := float64(o.m.Within / time.Millisecond)
	if o.m.Window == Tumbling && math.Floor(float64(line[from].TimeMS)/w) != math.Floor(float64(line[to].TimeMS)/w) {
		return false
	}
	if o.m.Window == Session {
		before := line[from].TimeMS
		for _, d := range line[from : to+1] {
			if d.Steps == 0 {
				continue // no event of the pattern
			}
			if time.Duration(d.TimeMS-before)*time.Millisecond > o.m.Gap {
				return false
			}
			before = d.TimeMS
		}
	}
	return true
}

// subsequence is the best of all that contain mine.
func (o *search) subsequence(line []*deed, mine *deed) (best []int) {
	n := o.m.Times
	better := func(a, b []int) bool {
		if a[n-1] != b[n-1] {
			return a[n-1] < b[n-1]
		}
		if a[0] != b[0] {
			return a[0] > b[0]
		}
		for i := n - 1; i >= 0; i-- {
			if a[i] != b[i] {
				return a[i] > b[i]
			}
		}
		return false
	}
	var chosen []int
	var try func(from int)
	try = func(from int) {
		if len(chosen) == n {
			has := slices.ContainsFunc(chosen, func(i int) bool { return line[i] == mine })
			if has && o.inFrame(line, chosen[0], chosen[n-1]) && (best == nil || better(chosen, best)) {
				best = slices.Clone(chosen)
			}
			return
		}
		for i := from; i < len(line); i++ {
			bit := uint32(1) << len(chosen)
			if o.m.Kind == Count {
				bit = 1
			}
			if line[i].Steps&bit != 0 && !line[i].consumed {
				chosen = append(chosen, i)
				try(i + 1)
				chosen = chosen[:len(chosen)-1]
			}
			if o.m.Strict && len(chosen) > 0 {
				break // the next one, whatever it is
			}
		}
	}
	try(0)
	return best
}

// allOf is, by condition, the best of all assignments that contain mine.
func (o *search) allOf(line []*deed, mine *deed) (best []int) {
	better := func(a, b []int) bool {
		if x, y := slices.Max(a), slices.Max(b); x != y {
			return x < y
		}
		if x, y := slices.Min(a), slices.Min(b); x != y {
			return x > y
		}
		for k := range a {
			if a[k] != b[k] {
				return a[k] > b[k]
			}
		}
		return false
	}
	var chosen []int
	var try func()
	try = func() {
		if len(chosen) == o.m.Times {
			has := slices.ContainsFunc(chosen, func(i int) bool { return line[i] == mine })
			if has && o.inFrame(line, slices.Min(chosen), slices.Max(chosen)) && (best == nil || better(chosen, best)) {
				best = slices.Clone(chosen)
			}
			return
		}
		for i, d := range line {
			if !d.consumed && d.Steps>>len(chosen)&1 == 1 {
				chosen = append(chosen, i)
				try()
				chosen = chosen[:len(chosen)-1]
			}
		}
	}
	try()
	return best
}

// crossing is the first crossing with mine in its window that was not fired.
func (o *search) crossing(line []*deed, mine *deed) ([]string, float64, [2]int64) {
	// window is what lies in one window with line[at], up to it; without it, at its time, if so asked.
	window := func(at int, without bool) (in []*deed) {
		for i := range line[:at+1] {
			if o.inFrame(line, i, at) && (i != at || !without) {
				in = append(in, line[i])
			}
		}
		return in
	}
	over := func(at int, without bool) bool {
		in := window(at, without)
		if len(in) == 0 {
			return false
		}
		v, c := value(o.m.Crossing.Of, in), o.m.Crossing
		return c.Compare == Above && v > c.Bound || c.Compare == AtLeast && v >= c.Bound ||
			c.Compare == Below && v < c.Bound || c.Compare == AtMost && v <= c.Bound
	}
	for at := range line {
		if !slices.Contains(window(at, false), mine) || over(at, true) || !over(at, false) {
			continue
		}
		known := line[at].fired
		for next := at + 1; next < len(line) && over(next, true) && over(next, false); next++ {
			known = known || line[next].fired
		}
		if known {
			continue
		}
		line[at].fired = true
		in := window(at, false)
		var ids []string
		for _, d := range in {
			ids = append(ids, d.ID)
		}
		return ids, value(o.m.Crossing.Of, in), [2]int64{in[0].TimeMS, line[at].TimeMS}
	}
	return nil, 0, [2]int64{}
}

// value is the aggregate, sorted rather than run through.
func value(f Function, in []*deed) float64 {
	var all []float64
	total := 0.0
	for _, d := range in {
		all = append(all, d.Number)
		total += d.Number
	}
	sort.Float64s(all)
	switch f {
	case Sum:
		return total
	case Avg:
		return total / float64(len(all))
	case Min:
		return all[0]
	case Max:
		return all[len(all)-1]
	default:
		return float64(len(slices.Compact(all)))
	}
}

// absences fires what is decided. An arm holds if nothing cancels it up to its deadline and, with
// restart, nothing arms it again; without, it only arms where no other one is running.
func (o *search) absences(now int64) (ids [][]string, spans [][2]int64) {
	within, allowed := o.m.Within.Milliseconds(), o.m.AllowedLateness.Milliseconds()
	for {
		line := slices.DeleteFunc(o.line(), func(d *deed) bool { return d.consumed })
		ends := map[*deed]int64{} // when an arm is over, whether it was cancelled, restarted, or ran out
		var left []*deed
		for i, d := range line {
			if d.Steps&Arms == 0 {
				continue
			}
			running := func(before *deed) bool {
				end, ok := ends[before]
				return ok && end >= int64(i)
			}
			if !o.m.Restart && slices.ContainsFunc(line[:i], running) && d.Steps&Cancels == 0 {
				continue
			}
			ends[d] = int64(len(line))
			holds := true
			for j := i + 1; j < len(line); j++ {
				if line[j].TimeMS > d.TimeMS+within {
					ends[d] = int64(j) - 1
					break
				}
				if line[j].Steps&Cancels != 0 || o.m.Restart && line[j].Steps&Arms != 0 {
					ends[d], holds = int64(j)-1, false
					break
				}
			}
			if holds {
				left = append(left, d)
			}
		}
		// The last that is decided takes all before it along; fire the first of them.
		decided := slices.ContainsFunc(left, func(d *deed) bool {
			due := d.TimeMS + within + allowed
			if due < d.NowMS {
				due = d.NowMS + within + allowed
			}
			return o.highest > d.TimeMS+within+allowed || now > due
		})
		if !decided {
			return ids, spans
		}
		end := left[0].TimeMS + within
		ids, spans = append(ids, []string{left[0].ID}), append(spans, [2]int64{left[0].TimeMS, end})
		for _, d := range line {
			d.consumed = d.consumed || d.TimeMS <= end
		}
		o.barrier = max(o.barrier, end)
	}
}
