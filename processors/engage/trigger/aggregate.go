package trigger

// Function is what an aggregate makes of the numbers of a window.
type Function string

// The functions.
const (
	Sum Function = "sum"
	// Distinct is how many different numbers there are.
	Distinct Function = "count_distinct"
	Min      Function = "min"
	Max      Function = "max"
	Avg      Function = "avg"
)

// Comparison is how an aggregate is compared with a bound.
type Comparison string

// The comparisons.
const (
	Above   Comparison = ">"
	AtLeast Comparison = ">="
	Below   Comparison = "<"
	AtMost  Comparison = "<="
)

// Crossing asks that a number compares with a bound. A window without events never does.
type Crossing struct {
	Of      Function
	Compare Comparison
	Bound   float64
}

// holds says whether the numbers, in order, compare as asked.
func (c Crossing) holds(numbers []float64) bool {
	if len(numbers) == 0 {
		return false
	}
	switch v := c.of(numbers); c.Compare {
	case AtLeast:
		return v >= c.Bound
	case Below:
		return v < c.Bound
	case AtMost:
		return v <= c.Bound
	default:
		return v > c.Bound
	}
}

// of is the function of at least one number.
func (c Crossing) of(numbers []float64) float64 {
	total := numbers[0]
	switch c.Of {
	case Distinct:
		seen := make(map[float64]struct{}, len(numbers))
		for _, n := range numbers {
			seen[n] = struct{}{}
		}
		return float64(len(seen))
	case Min:
		for _, n := range numbers {
			total = min(total, n)
		}
	case Max:
		for _, n := range numbers {
			total = max(total, n)
		}
	case Sum, Avg:
		for _, n := range numbers[1:] {
			total += n
		}
		if c.Of == Avg {
			total /= float64(len(numbers))
		}
	}
	return total
}

// cross fires the first crossing whose window has the entry x in it: an event before which the
// aggregate did not compare as asked, at that event's own time, and with which it does. It arms
// again by falling back, so nothing is consumed. A crossing that was fired stays fired when a late
// event moves its begin: what reaches on to a fired event is the same crossing.
func (m *Machine) cross(s *State, x int) *Match {
	for at := x; at < len(s.IDs); at++ {
		first := m.start(s, at)
		if first > x {
			return nil
		}
		if !m.rises(s, first, at) || m.known(s, at) {
			continue
		}
		s.Steps[at] |= fired
		match := &Match{
			FirstMS: s.TimesMS[first], LastMS: s.TimesMS[at], Number: m.Crossing.of(s.Numbers[first : at+1]),
			EventIDs: append([]string(nil), s.IDs[first:at+1]...),
		}
		return match
	}
	return nil
}

// rises says whether the aggregate begins to compare as asked with the entry at, whose window
// begins with first.
func (m *Machine) rises(s *State, first, at int) bool {
	return !m.Crossing.holds(s.Numbers[first:at]) && m.Crossing.holds(s.Numbers[first:at+1])
}

// known says whether the crossing that begins at an entry was fired, by it or by one that it
// reaches on to.
func (m *Machine) known(s *State, at int) bool {
	for {
		if s.takes(at, fired) {
			return true
		}
		if at++; at == len(s.IDs) {
			return false
		}
		first := m.start(s, at)
		if !m.Crossing.holds(s.Numbers[first:at]) || !m.Crossing.holds(s.Numbers[first:at+1]) {
			return false
		}
	}
}
