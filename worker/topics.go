package worker

import (
	"slices"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Topics is dwell's own topics, and all that the processors read, write and keep: inputs, outputs, whole
// topics, loops, tables, journals, and the tables that they join. A table that is looked up is not among
// them, because only its own processor knows how many partitions it has.
func Topics(defs ...*processors.Def) []*topics.Spec {
	all := topics.Builtin()
	add := func(specs ...*topics.Spec) {
		for _, s := range specs {
			if !slices.ContainsFunc(all, func(have *topics.Spec) bool { return have.Name == s.Name }) {
				all = append(all, s)
			}
		}
	}
	for _, d := range defs {
		add(Kept(d)...)
	}
	for _, d := range defs {
		add(d.Inputs...)
		add(d.Outputs...)
		for _, w := range d.Whole {
			add(w.Topic())
		}
		for _, t := range d.Tables {
			if !t.Whole {
				add(besideInputs(d, t.Topic()))
			}
		}
	}
	for _, d := range defs {
		if d.Journal {
			named(all, d)
		}
	}
	return all
}

// named notes in copies of the topics which versions the journal of d names.
func named(all []*topics.Spec, d *processors.Def) {
	by := journal.Topic("dwell." + d.Name)
	note := func(name string, as func(own *topics.Spec)) {
		if i := slices.IndexFunc(all, func(s *topics.Spec) bool { return s.Name == name }); i >= 0 {
			own := *all[i]
			as(&own)
			all[i] = &own
		}
	}
	for _, w := range d.Whole {
		note(w.Topic().Name, func(own *topics.Spec) { own.LagAs = append(slices.Clip(own.LagAs), by) })
	}
	for _, t := range d.Tables {
		note(t.Topic().Name, func(own *topics.Spec) { own.NamedBy = append(slices.Clip(own.NamedBy), by) })
	}
}

// Kept are the topics that a processor has for itself: first its table, then, where it has them, its
// journal and its loop.
func Kept(d *processors.Def) []*topics.Spec {
	kept := []*topics.Spec{besideInputs(d, topics.Table(d.Name, d.MaxRowBytes))}
	if d.Journal {
		kept = append(kept, besideInputs(d, &topics.Spec{Name: journal.Topic("dwell." + d.Name), Retention: journal.Retention(d.Inputs)}))
	}
	if d.Loop != nil {
		kept = append(kept, besideInputs(d, d.Loop))
	}
	return kept
}

// besideInputs gives a topic as many partitions as the processor's inputs have.
func besideInputs(d *processors.Def, s *topics.Spec) *topics.Spec {
	own := *s
	for _, in := range d.Inputs {
		if in != d.Loop {
			own.Partitions = in.Partitions
			break
		}
	}
	return &own
}
