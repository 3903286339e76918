package why

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes the answer for people.
func (a *Answer) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range a.Says {
		fmt.Fprintln(w, s)
	}
	if len(a.Seen) > 0 {
		fmt.Fprintf(w, "\nevents that the campaign read (the last %d of %d)\n", len(a.Seen), a.Read)
		for _, e := range a.Seen {
			as := ""
			if e.As != "" {
				as = "\tas " + e.As
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\tholds %d\tversion %s%s%s\n", stamp(e.Time), e.Name, e.ID, e.Effect, e.Held, e.Version, as, standings(e.Lists))
		}
	}
	if len(a.Verdicts) > 0 {
		fmt.Fprintln(w, "\nverdicts")
		for _, v := range a.Verdicts {
			fmt.Fprintf(w, "  %s\t%s\tversion %s\t%s\t%s\n", stamp(v.Time), v.Verdict, v.Version, v.EventID, v.Detail)
		}
	}
	return w.Flush()
}

// standings tells of the lists of one match.
func standings(all []Membership) string {
	text := ""
	for _, m := range all {
		switch {
		case m.In == nil:
			text += "\tin " + m.Audience + "? unknown"
		case *m.In:
			text += "\tin " + m.Audience
		default:
			text += "\tnot in " + m.Audience
		}
	}
	return text
}
