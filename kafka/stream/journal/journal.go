// Package journal writes down what a log does not say, and does a run again from it.
//
// Order inside a topic's partition is the log's. How several inputs were interleaved, when a wake came
// between two records, which version of a whole topic was in force and which records were rejected is
// not in any log: a Recorder makes one small record of it per transaction and partition, which lies in
// the group's journal. Replay reads the journal, reads the same records again, steps them in the same
// order into an empty table, and compares rows and outputs with what the topics hold. It shares no code
// with the package table, so it also checks its caches, aborts and recoveries.
package journal

import (
	"runtime/debug"
	"time"

	"github.com/dwellhq/dwell/topics"
)

// Topic is the journal of a group.
func Topic(group string) string { return group + "-journal" }

// Retention is how long a journal is kept: as long as the input that is kept longest; zero means the
// brokers' default.
func Retention(inputs []*topics.Spec) time.Duration {
	longest := time.Duration(0)
	for _, in := range inputs {
		switch {
		case in.Retention == topics.Forever || in.Compact:
			return topics.Forever
		case in.Retention == 0:
			return 0
		}
		longest = max(longest, in.Retention)
	}
	return longest
}

// Version tells this binary from others: the revision it was built from, or else its module's version.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, changed := info.Main.Version, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changed"
		}
	}
	return version + changed
}
