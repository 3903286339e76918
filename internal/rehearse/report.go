package rehearse

import (
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Report says what would have happened.
type Report struct {
	// Events that were stepped; Counted of them once, the rest were Duplicates or Invalid.
	Events     int64 `json:"events"`
	Counted    int64 `json:"counted"`
	Duplicates int64 `json:"duplicates"`
	Invalid    int64 `json:"invalid"`
	// Unreadable lines or records are no events; the first few are named.
	Unreadable int64 `json:"unreadable"`
	Bad        []Bad `json:"bad,omitempty"`
	Users      int   `json:"users"`
	// From and To are the first and the last record time; zero without events.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// BackMS is how far, at most, a record lay before one that came earlier in its partition. Live,
	// records come in the order of their times; a file that is not sorted by them lets deadlines of
	// one user come before events of another that were earlier.
	BackMS    int64             `json:"back_ms"`
	Campaigns []*CampaignReport `json:"campaigns"`
}

// CampaignReport says what one campaign would have done.
type CampaignReport struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// State as the file says; As is how it was rehearsed.
	State string `json:"state"`
	As    string `json:"rehearsed_as"`
	// Matches are completed patterns, each once, whatever the gates said then.
	Matches int64 `json:"matches"`
	// Verdicts by name: SENT once for each channel, and the gates, such as REENTRY or PRIORITY.
	Verdicts map[string]int64 `json:"verdicts"`
	// Hours with a verdict, in order, UTC.
	Hours []Hour `json:"hours"`
	// Variants are the SENT by variant; empty is the name of the only one there is.
	Variants map[string]int64 `json:"variants"`
	// Samples are the first users of each verdict.
	Samples map[string][]Sample `json:"samples"`

	hours map[int64]*Hour
	seen  map[string]struct{}
}

// Hour is what was decided in one hour.
type Hour struct {
	Start    time.Time        `json:"start"`
	Matches  int64            `json:"matches"`
	Verdicts map[string]int64 `json:"verdicts"`
}

// Sample is one user who would have got a verdict.
type Sample struct {
	User     string    `json:"user"`
	Time     time.Time `json:"time"`
	MatchID  string    `json:"match_id,omitempty"`
	EventIDs []string  `json:"event_ids,omitempty"`
}

// maxSamples bounds the samples of a verdict, maxBad the lines that are named.
const maxSamples, maxBad = 5, 5

func newCampaignReport(name, version, state, as string) *CampaignReport {
	return &CampaignReport{
		Name: name, Version: version, State: state, As: as, Verdicts: map[string]int64{}, Variants: map[string]int64{},
		Samples: map[string][]Sample{}, hours: map[int64]*Hour{}, seen: map[string]struct{}{},
	}
}

// add counts one verdict.
func (c *CampaignReport) add(v *schemas.Verdict) {
	at := time.UnixMilli(v.DecidedMs).UTC()
	h := c.hour(at)
	if v.MatchId != "" {
		if _, again := c.seen[v.MatchId]; !again {
			c.seen[v.MatchId] = struct{}{}
			c.Matches++
			h.Matches++
		}
	}
	c.Verdicts[v.Verdict]++
	h.Verdicts[v.Verdict]++
	if v.Verdict == sent {
		c.Variants[v.Variant]++
	}
	c.sample(v, at)
}

// sample keeps the verdict if its user is none of the first few yet.
func (c *CampaignReport) sample(v *schemas.Verdict, at time.Time) {
	kept := c.Samples[v.Verdict]
	if len(kept) >= maxSamples || slices.ContainsFunc(kept, func(s Sample) bool { return s.User == v.User }) {
		return
	}
	c.Samples[v.Verdict] = append(kept, Sample{v.User, at, v.MatchId, v.EventIds})
}

func (c *CampaignReport) hour(at time.Time) *Hour {
	start := at.Truncate(time.Hour)
	h := c.hours[start.Unix()]
	if h == nil {
		h = &Hour{Start: start, Verdicts: map[string]int64{}}
		c.hours[start.Unix()] = h
	}
	return h
}

// close puts the hours in order.
func (c *CampaignReport) close() {
	c.Hours = c.Hours[:0]
	for _, h := range c.hours {
		c.Hours = append(c.Hours, *h)
	}
	slices.SortFunc(c.Hours, func(a, b Hour) int { return a.Start.Compare(b.Start) })
}

func byName(a, b *CampaignReport) int { return strings.Compare(a.Name, b.Name) }
