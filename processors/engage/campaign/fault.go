package campaign

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a campaign file. Parse joins all of them.
type Fault struct {
	File string
	// Line counts from 1.
	Line int
	// Path is the field, e.g. spec.trigger.pattern.count.times; empty: the document.
	Path string
	// What is wrong, and what to Do about it.
	What, Do string
}

// Error is "file:line: path: what; what to do".
func (f *Fault) Error() string {
	path := f.Path
	if path == "" {
		path = "document"
	}
	return fmt.Sprintf("%s:%d: %s: %s; %s", f.File, f.Line, path, f.What, f.Do)
}

// closest says which of the known words was probably meant, else lists them.
func closest(word string, known []string) string {
	best, least := "", 2+min(1, len(word)/4) // one slip, two in a longer word
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "write " + oneOf(known)
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
