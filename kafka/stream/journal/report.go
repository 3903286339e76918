package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dwellhq/dwell/schemas"
)

// ErrGone says that what a replay needs is not in the topics any more, or the journal never had it.
var ErrGone = errors.New("a replay is not possible")

// Report is what a replay found.
type Report struct {
	// Of the journal: transactions (one partition's each), records stepped, those of them that had been
	// rejected, and deadlines taken from the index.
	Transactions, Records, Rejected, Wakes int64
	// RejectedWakes are wakes that had been rejected, also those that came with their row's next record.
	RejectedWakes int64
	// Rows and Outputs were compared; facts count one by one.
	Rows, Outputs int64
	// Elsewhere are outputs that are not this partition's, when only one was replayed.
	Elsewhere int64
	// Differences found. One in a step ends the replay; rows and outputs are compared to the end.
	Differences int64
	// First of the differences; nil for none.
	First *Difference
	// Versions of the binaries that wrote the journal, in order.
	Versions []string
	// Holed are the whole topics that lack records. Compaction may have taken what was in force then.
	Holed []string
}

// Difference is one between what happened and what the replay makes of it.
type Difference struct {
	// At is the record: of an input, the table, an output, or the journal.
	At  schemas.Coordinates
	Key string
	// What is different.
	What string
}

// Error implements error.
func (d *Difference) Error() string { return fmt.Sprintf("%s (key %q): %s", d.At, d.Key, d.What) }

func (r *Report) differ(d *Difference) {
	r.Differences++
	if r.First == nil {
		r.First = d
	}
}

func (r *Report) wroteBy(version string) {
	if !slices.Contains(r.Versions, version) {
		r.Versions = append(r.Versions, version)
	}
}
