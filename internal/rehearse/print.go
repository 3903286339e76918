package rehearse

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// maxBackMS is from when on Print warns of a file that is not in order.
const maxBackMS = 60_000

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d events of %d users: %d count, %d duplicates, %d invalid; %d unreadable lines\n", r.Events, r.Users, r.Counted, r.Duplicates, r.Invalid, r.Unreadable)
	for _, b := range r.Bad {
		fmt.Fprintf(w, "  line %d: %s\n", b.Line, b.Why)
	}
	if r.Events > 0 {
		fmt.Fprintf(w, "from %s to %s\n", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	}
	if r.BackMS > maxBackMS {
		fmt.Fprintf(w, "the events are not in the order of their times (up to %s back): sort them, else what waits for a deadline may be decided too early\n", time.Duration(r.BackMS)*time.Millisecond)
	}
	for _, c := range r.Campaigns {
		c.print(w)
	}
	return w.Flush()
}

func (c *CampaignReport) print(w io.Writer) {
	fmt.Fprintf(w, "\ncampaign %s, version %s, %s", c.Name, c.Version, c.State)
	if c.As != c.State {
		fmt.Fprintf(w, " (rehearsed as %s)", c.As)
	}
	fmt.Fprintf(w, "\n  %d matches", c.Matches)
	kinds := slices.Sorted(maps.Keys(c.Verdicts))
	for _, k := range kinds {
		fmt.Fprintf(w, ", %d %s", c.Verdicts[k], k)
	}
	fmt.Fprintln(w)
	for _, v := range slices.Sorted(maps.Keys(c.Variants)) {
		if v != "" {
			fmt.Fprintf(w, "  variant %s\t%d SENT\n", v, c.Variants[v])
		}
	}
	if len(c.Hours) > 0 {
		fmt.Fprintf(w, "  hour (UTC)\tmatches\t%s\n", strings.Join(kinds, "\t"))
	}
	for _, h := range c.Hours {
		fmt.Fprintf(w, "  %s\t%d", h.Start.Format("2006-01-02 15:00"), h.Matches)
		for _, k := range kinds {
			fmt.Fprintf(w, "\t%d", h.Verdicts[k])
		}
		fmt.Fprintln(w)
	}
	for _, k := range kinds {
		for _, s := range c.Samples[k] {
			fmt.Fprintf(w, "  %s %s at %s: %s\n", k, s.User, s.Time.Format(time.RFC3339), strings.Join(s.EventIDs, ", "))
		}
	}
}

// ParseSince reads a span of time such as 30d, 12h or 1d12h; it is positive and at most ten years.
func ParseSince(s string) (time.Duration, error) {
	bad := fmt.Errorf("since: %q is no span of time: write one such as 30d, 12h or 1d12h", s)
	var total time.Duration
	days, rest, ok := strings.Cut(s, "d")
	if ok {
		n, err := strconv.ParseUint(days, 10, 12)
		if err != nil {
			return 0, bad
		}
		total, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" || !ok {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errors.Join(bad, err)
		}
		total += d
	}
	if total <= 0 || total > 10*366*24*time.Hour {
		return 0, bad
	}
	return total, nil
}
