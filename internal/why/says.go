package why

import (
	"fmt"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// says puts an answer into sentences: what was decided last, what is under way, and whether the
// campaign looks at events at all.
func says(a *Answer, versions []declare.Version, inForce *declare.Version, c *campaign.Campaign) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	switch {
	case inForce == nil:
		add("The campaign was not there at %s: it was first applied at %s.", stamp(a.At), stamp(versions[0].Applied()))
		return all
	case inForce.Deleted:
		add("The campaign was deleted at %s.", stamp(inForce.Applied()))
	case !c.State.Decides():
		add("The campaign is %s since %s (version %s): it looks at no event.", c.State, stamp(inForce.Applied()), c.Version)
	case c.State == campaign.Shadow:
		add("The campaign is in shadow since %s (version %s): it decides and records, and sends nothing.", stamp(inForce.Applied()), c.Version)
	}
	if s := decided(a.Verdicts); s != "" {
		all = append(all, s)
	} else {
		add("There was no match of this user.")
	}
	if a.Events == 0 {
		add("The log holds no event of this user.")
		return all
	}
	if a.Read == 0 {
		add("Of the user's %d events in the log the campaign read none: none is named in its trigger, or none meets a condition, or they came before it was in force.", a.Events)
		return all
	}
	add("The campaign read %d of the user's %d events in the log.", a.Read, a.Events)
	return append(all, underWay(a)...)
}

// decided tells the last verdict on a match, and what became of it; empty: none.
func decided(verdicts []rehearse.Decision) string {
	last := -1
	for i, v := range verdicts {
		if v.MatchID != "" && len(v.EventIDs) > 0 {
			last = i
		}
	}
	if last < 0 {
		return ""
	}
	v := verdicts[last]
	what := fmt.Sprintf("the gate %s kept it back", v.Verdict)
	if v.Verdict == engage.Sent {
		what = "it was sent"
	}
	s := fmt.Sprintf("The last match was decided at %s by version %s, of the events %s: %s", stamp(v.Time), v.Version, strings.Join(v.EventIDs, ", "), what)
	if len(v.Detail) > 0 {
		s += " " + string(v.Detail)
	}
	for _, after := range verdicts[last+1:] {
		if after.MatchID == v.MatchID {
			s += fmt.Sprintf("; %s at %s", after.Verdict, stamp(after.Time))
		}
	}
	return s + "."
}

// underWay tells how far the pattern got since.
func underWay(a *Answer) []string {
	var all []string
	last := a.Seen[len(a.Seen)-1]
	switch last.Effect {
	case Late:
		all = append(all, fmt.Sprintf("The last of them, %s, came later than allowed and did not count.", last.ID))
	case Reset:
		all = append(all, fmt.Sprintf("The last of them, %s, made the pattern start over.", last.ID))
	case Duplicate:
		all = append(all, fmt.Sprintf("The last of them, %s, had come before and did not count again.", last.ID))
	case Nothing:
		all = append(all, fmt.Sprintf("The last of them, %s, changed nothing: it lies before a reset or before what a match used up.", last.ID))
	case Counted, Matched:
	}
	p := a.Progress
	held := fmt.Sprintf("The pattern (%s) holds %d events", p.Kind, p.Held)
	if p.Times > 0 {
		held = fmt.Sprintf("The pattern (%s) holds %d events; %d within its time frame complete it", p.Kind, p.Held, p.Times)
	}
	if p.Held > 0 {
		held += fmt.Sprintf(" (%s, from %s to %s)", strings.Join(p.Events[max(0, len(p.Events)-10):], ", "), stamp(p.First), stamp(p.Last))
	}
	if !p.Due.IsZero() {
		held += "; unless what it waits for comes, it is complete at " + stamp(p.Due)
	}
	return append(all, held+".")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
