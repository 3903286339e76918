package worker

import (
	"fmt"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func TestTopicsOfAProcessorThatDeclaresEverything(t *testing.T) {
	step := func(*processors.Turn[int], int) {}
	people := &processors.Table[int]{Processor: "people"}
	prices := &processors.Table[int]{Processor: "prices"}
	owner := processors.Define(processors.Processor[int]{
		Name: "people", MaxRowBytes: 2 << 20, Inputs: []processors.Input[int]{processors.On(topics.Stream[int]("in"), step)},
	})
	single := topics.Of(topics.Spec{Name: "single", Partitions: 1}, schemas.Codec[int](schemas.JSON[int]{}))
	orders := processors.Define(processors.Processor[int]{
		Name: "orders", Journal: true, Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{prices},
		Inputs: []processors.Input[int]{processors.On(topics.Loop[int]("orders"), step), processors.On(single, step)},
	})
	got := map[string]string{}
	for _, s := range Topics(orders, owner) {
		if _, twice := got[s.Name]; twice {
			t.Errorf("%s is there twice", s.Name)
		}
		got[s.Name] = fmt.Sprint(s.Partitions, s.Compact, s.MaxMessageBytes > 2<<20)
	}
	for name, want := range map[string]string{
		"in": "0 false false", "single": "1 false false", "dwell.orders-table": "1 true false", "dwell.orders-loop": "1 false false",
		"dwell.orders-journal": "1 false false", "dwell.people-table": "0 true true", "dwell.prices-table": "", topics.Actions.Name: "0 false false",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

// A whole topic keeps its versions for as long as every journal that names them.
func TestWholeTopicsOutlastTheJournals(t *testing.T) {
	rules := &processors.Whole[int, int]{Topic: topics.Of(topics.Spec{Name: "rules", Partitions: 1, Compact: true}, schemas.Codec[int](schemas.JSON[int]{}))}
	named := func(name string, journal bool) *processors.Def {
		return processors.Define(processors.Processor[int]{
			Name: name, Journal: journal, Whole: []processors.AnyWhole{rules},
			Inputs: []processors.Input[int]{processors.On(topics.Stream[int]("in"), func(*processors.Turn[int], int) {})},
		})
	}
	for _, s := range Topics(named("a", true), named("b", true), named("c", false)) {
		if got := fmt.Sprint(s.LagAs); s.Name == "rules" && got != "[dwell.a-journal dwell.b-journal]" || s.Name != "rules" && len(s.LagAs) > 0 {
			t.Errorf("%s: %s", s.Name, got)
		}
	}
	if len(rules.Topic.LagAs) != 0 {
		t.Errorf("the declaration was changed: %v", rules.Topic.LagAs)
	}
}

// A table knows the journals of those that join it or look rows of it up.
func TestTablesKnowTheJournalsThatNameTheirRows(t *testing.T) {
	step := func(*processors.Turn[int], int) {}
	in := []processors.Input[int]{processors.On(topics.Stream[int]("in"), step)}
	people, prices := &processors.Table[int]{Processor: "people"}, &processors.Table[int]{Processor: "prices"}
	reader := func(name string, journal bool) *processors.Def {
		return processors.Define(processors.Processor[int]{
			Name: name, Journal: journal, Inputs: in, Joins: []processors.AnyTable{people}, Lookups: []processors.AnyTable{prices},
		})
	}
	owner := processors.Define(processors.Processor[int]{Name: "prices", Inputs: in})
	for _, s := range Topics(reader("a", true), reader("b", true), reader("c", false), owner) {
		want := "[]"
		if s.Name == "dwell.people-table" || s.Name == "dwell.prices-table" {
			want = "[dwell.a-journal dwell.b-journal]"
		}
		if got := fmt.Sprint(s.NamedBy); got != want || len(s.LagAs) > 0 {
			t.Errorf("%s: %s, want %s; lag as %v", s.Name, got, want, s.LagAs)
		}
	}
}
