package processors

import "fmt"

// Counter is a number that steps count up for those who run the worker: a Prometheus counter with one
// label, besides the processor's name. It is no part of a decision. What a transaction stepped that was
// aborted counts again, and a replay by the test harness or the journal counts nothing. It is declared
// once, as a variable, and used by its pointer.
type Counter struct {
	// Name of the metric, with its unit: dwell_events_total.
	Name string
	// Help says what is counted.
	Help string
	// Label tells what is counted apart; Values are all that it can say, at least one.
	Label  string
	Values []string
}

// Count adds one to a counter, which must be among the processor's Counters, under value i of its Values.
func Count[S any](t *Turn[S], counter *Counter, i int) {
	at := 0
	for _, c := range t.call.def.Counters {
		if c != counter {
			at += len(c.Values)
			continue
		}
		if i < 0 || i >= len(c.Values) {
			panic(fmt.Sprintf("processors: %s has no value %d", c.Name, i))
		}
		if at+i < len(t.call.Counted) {
			t.call.Counted[at+i]++
		}
		return
	}
	panic(fmt.Sprintf("processors: %s counts %s without declaring it", t.call.def.Name, counter.Name))
}

// Counts is the length of Call.Counted: how many values the Counters have together.
func (d *Def) Counts() int {
	n := 0
	for _, c := range d.Counters {
		n += len(c.Values)
	}
	return n
}

// checkCounters panics where two counters are one, or one counts nothing.
func checkCounters(name string, counters []*Counter) {
	seen := map[string]bool{}
	for _, c := range counters {
		if c.Name == "" || c.Label == "" || len(c.Values) == 0 || seen[c.Name] {
			panic(fmt.Sprintf("processors: counter %q of %s needs a name of its own, a label and its values", c.Name, name))
		}
		seen[c.Name] = true
	}
}
