package edit

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Report says how soon edits were live and what they cost.
type Report struct {
	Workers    int   `json:"workers"`
	Partitions int32 `json:"partitions"`
	// Events that were decided, at Rate a second.
	Events int64   `json:"events"`
	Rate   float64 `json:"rate"`
	Edits  []Edit  `json:"edits"`
	// Verdicts in the log; Lost are those that the processor alone has and the log has not, Extra the other way
	// round, Other those that are not the same to the byte.
	Verdicts int64 `json:"verdicts"`
	Lost     int64 `json:"lost"`
	Extra    int64 `json:"extra"`
	Other    int64 `json:"other"`
	// Mixed are verdicts by a version that came after a later one, or by one that was never applied.
	Mixed int64 `json:"mixed"`
	// Between are events that were decided when one of two campaigns of one apply was in force and the other
	// was not yet. Each campaign changes at once; a file of several does not.
	Between int64 `json:"between"`
	// Differences that the replay of the journal found, in Replayed rows and outputs.
	Differences int64 `json:"differences"`
	Replayed    int64 `json:"replayed"`
	// Restarts of workers: 0, or it was no fair run.
	Restarts int `json:"restarts"`
	// First fault, for people.
	First string `json:"first,omitempty"`
}

// Edit is one edit; milliseconds from its call.
type Edit struct {
	Version string `json:"version"`
	// AnswerMS: `dwell apply` says that it is in force. EverywhereMS: a reader has a verdict by the new version of
	// every campaign from every partition.
	AnswerMS     float64 `json:"answer_ms"`
	EverywhereMS float64 `json:"everywhere_ms"`
}

// OK says that nothing was lost, doubled, mixed or decided otherwise.
func (r *Report) OK() bool {
	return r.Lost == 0 && r.Extra == 0 && r.Other == 0 && r.Mixed == 0 && r.Differences == 0 && r.Restarts == 0 && r.Verdicts > 0 && r.Replayed > 0
}

// fault notes the first one.
func (r *Report) fault(format string, a ...any) {
	if r.First == "" {
		r.First = fmt.Sprintf(format, a...)
	}
}

// Print writes the table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d events at %.0f a second, %d verdicts, %d workers, %d partitions\n", r.Events, r.Rate, r.Verdicts, r.Workers, r.Partitions)
	fmt.Fprintf(w, "lost %d, too many %d, other %d, mixed versions %d; %d rows and outputs replayed from the journal, %d differences; %d worker restarts\n",
		r.Lost, r.Extra, r.Other, r.Mixed, r.Replayed, r.Differences, r.Restarts)
	fmt.Fprintf(w, "%d events between two campaigns of one apply\n", r.Between)
	if r.First != "" {
		fmt.Fprintln(w, "WRONG, first:", r.First)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "edit\tanswer ms\tlive everywhere ms\t")
	for i, e := range r.Edits {
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t\n", i+1, e.AnswerMS, e.EverywhereMS)
	}
	if all := r.sorted(); len(all) > 0 {
		fmt.Fprintf(t, "median\t\t%.0f\t\nmost\t\t%.0f\t\n", all[len(all)/2], all[len(all)-1])
	}
	_ = t.Flush() // w says
}

func (r *Report) sorted() []float64 {
	var all []float64
	for _, e := range r.Edits {
		all = append(all, e.EverywhereMS)
	}
	slices.Sort(all)
	return all
}
