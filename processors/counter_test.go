package processors_test

import (
	"slices"
	"testing"

	"github.com/dwellhq/dwell/processors"
)

func TestEachValueOfEachCounterHasItsPlace(t *testing.T) {
	first := &processors.Counter{Name: "first_total", Label: "kind", Values: []string{"a", "b"}}
	second := &processors.Counter{Name: "second_total", Label: "kind", Values: []string{"c", "d", "e"}}
	stranger := &processors.Counter{Name: "second_total", Label: "kind", Values: []string{"c", "d", "e"}}
	use, value := second, 1
	def := processors.Define(processors.Processor[row]{
		Name: "t", Counters: []*processors.Counter{first, second},
		Inputs: []processors.Input[row]{processors.On(events, func(t *processors.Turn[row], _ event) { processors.Count(t, use, value) })},
	})
	call := &processors.Call{Key: "a/b", Value: []byte("{}"), Counted: make([]int64, def.Counts())}
	step := func() {
		if err := def.Step(0, call); err != nil {
			t.Fatal(err)
		}
	}
	step()
	step()
	use, value = first, 0
	step()
	if want := []int64{1, 0, 0, 2, 0}; !slices.Equal(call.Counted, want) {
		t.Errorf("counted %v, want %v", call.Counted, want)
	}
	call.Counted = nil // nobody asks
	step()
	for name, plant := range map[string]func(){
		"a counter that was not declared": func() { use, value = stranger, 0 },
		"a value too many":                func() { use, value = first, 2 },
		"a value below":                   func() { use, value = first, -1 },
	} {
		plant()
		if !panics(step) {
			t.Errorf("%s is counted", name)
		}
	}
}

func TestFalseCountersAreRefused(t *testing.T) {
	good := processors.Counter{Name: "a_total", Label: "kind", Values: []string{"a"}}
	again, nameless, plain, empty := good, good, good, good
	nameless.Name, plain.Label, empty.Values = "", "", nil
	for name, counters := range map[string][]*processors.Counter{"two of a name": {&good, &again}, "no name": {&nameless}, "no label": {&plain}, "no values": {&empty}} {
		if !panics(func() {
			processors.Define(processors.Processor[row]{Name: "t", Inputs: []processors.Input[row]{processors.On(events, step)}, Counters: counters})
		}) {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
