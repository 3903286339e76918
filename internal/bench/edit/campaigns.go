package edit

import (
	"fmt"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
)

const tenant = "bench"

// The campaigns. Every "tick" gets exactly one verdict of probe, every "bet" one of gate, so they show for
// each such event which version decided it. gate reads what is kept of the user: its cooldown and its cap change
// with every version, and must go on from what the version before left. streak matches now and then and stays as it is.
const (
	probe  = "probe"
	gate   = "gate"
	streak = "streak"
)

const source = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: probe}
spec:
  state: live
  trigger:
    pattern: {count: {event: tick, times: 1}}
    within: 1h
    allowed_lateness: 1h
  reentry: {mode: always}
  channels: [{type: popup, content: probe/%[1]d}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: gate}
spec:
  state: live
  trigger:
    pattern: {count: {event: bet, times: 1}}
    within: 1h
    allowed_lateness: 1h
  reentry: {mode: cooldown, every: %[2]dms}
  caps: [{scope: campaign, max: %[3]d, per: 5s}]
  channels: [{type: popup, content: gate/%[1]d}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: streak}
spec:
  state: live
  trigger:
    pattern: {count: {event: view, where: 'event.n > 4', times: 3}}
    until: [{event: view, where: 'event.n == 0'}]
    within: 10m
    allowed_lateness: 1h
  channels: [{type: popup, content: streak}]
`

// plan is every version of the campaigns, in the order in which they are applied.
type plan struct {
	docs [][]declare.Document
}

func newPlan(edits int) (plan, error) {
	var p plan
	for k := range edits + 1 {
		all, err := campaign.Parse("edit.yaml", fmt.Appendf(nil, source, k, 200+100*(k%4), 2+k%3))
		if err != nil {
			return p, fmt.Errorf("the bench's campaigns: %w", err)
		}
		p.docs = append(p.docs, declare.Documents(campaign.File{Campaigns: all}))
	}
	return p, nil
}

// document of a campaign as it is after edit k.
func (p plan) document(name string, k int) declare.Document {
	for _, d := range p.docs[k] {
		if d.Name == name {
			return d
		}
	}
	return declare.Document{}
}

func (p plan) version(name string, k int) string { return p.document(name, k).Version }

// number is the edit that a version of a campaign came with; -1: none.
func (p plan) number(name, version string) int {
	for k := range p.docs {
		if p.version(name, k) == version {
			return k
		}
	}
	return -1
}

// declaration is what the topic holds of a campaign after edit k.
func (p plan) declaration(name string, k int) *schemas.Declaration {
	d := p.document(name, k)
	return &schemas.Declaration{Kind: d.Kind, Tenant: tenant, Name: d.Name, Version: d.Version, Source: d.Source, File: d.File}
}
