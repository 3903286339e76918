package declare

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/campaign"
)

// moves are the states that a campaign may go to from each.
var moves = map[campaign.State][]campaign.State{
	campaign.Draft:    {campaign.Shadow},
	campaign.Shadow:   {campaign.Live},
	campaign.Live:     {campaign.Paused},
	campaign.Paused:   {campaign.Live, campaign.Archived},
	campaign.Archived: nil,
}

// CheckMove says why a campaign may not go from one state to another, and what to do; nil: it may.
// Any may stay what it is.
func CheckMove(name string, from, to campaign.State) error {
	next := moves[from]
	if from == to || slices.Contains(next, to) {
		return nil
	}
	if from == campaign.Archived {
		return fmt.Errorf("campaign %s is archived and does not come back; apply it under another metadata.name, or delete it first (dwell delete campaign %s) and apply it afresh", name, name)
	}
	words := make([]string, len(next))
	for i, s := range next {
		words[i] = string(s)
	}
	return fmt.Errorf("campaign %s is %s and cannot become %s: it may become %s next; set spec.state to that, apply, and go on from there (or dwell delete campaign %s)",
		name, from, to, strings.Join(words, " or "), name)
}

// WithState returns the source of a campaign with another spec.state; every other byte, comments
// too, stays what it was.
func WithState(c *campaign.Campaign, to campaign.State) (*campaign.Campaign, error) {
	if c.State == to {
		return c, nil
	}
	field := regexp.MustCompile(`state["']?\s*:\s*["']?(` + regexp.QuoteMeta(string(c.State)) + `)\b`)
	for _, at := range field.FindAllSubmatchIndex(c.Source, -1) {
		source := slices.Concat(c.Source[:at[2]], []byte(to), c.Source[at[3]:])
		all, err := campaign.Parse(c.File, source)
		// One place was changed: where that made the state another, it was the state's.
		if err == nil && len(all) == 1 && all[0].State == to && bytes.Equal(all[0].Source, source) {
			return all[0], nil
		}
	}
	return nil, fmt.Errorf("campaign %s: where its file says spec.state: %s was not found; change it in the file and apply that", c.Name, c.State)
}
