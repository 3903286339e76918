package rehearse

import (
	"encoding/json"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Decision is a verdict as people and programs read it.
type Decision struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Campaign string    `json:"campaign,omitempty"`
	Version  string    `json:"version,omitempty"`
	Verdict  string    `json:"verdict"`
	Time     time.Time `json:"time"`
	// EventTime is that of the match's last event; nil: the verdict is on no event's time.
	EventTime *time.Time      `json:"event_time,omitempty"`
	MatchID   string          `json:"match_id,omitempty"`
	ActionID  string          `json:"action_id,omitempty"`
	Channel   string          `json:"channel,omitempty"`
	Variant   string          `json:"variant,omitempty"`
	EventID   string          `json:"event_id,omitempty"`
	EventIDs  []string        `json:"event_ids,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"`
}

// DecisionOf is the verdict without its coordinates.
func DecisionOf(v *schemas.Verdict) Decision {
	d := Decision{
		ID: v.Id, User: v.User, Campaign: v.Campaign, Version: v.Version, Verdict: v.Verdict, Time: time.UnixMilli(v.DecidedMs).UTC(),
		MatchID: v.MatchId, ActionID: v.ActionId, Channel: v.Channel, Variant: v.Variant, EventID: v.EventId, EventIDs: v.EventIds, Detail: v.Detail,
	}
	if v.EventTimeMs != 0 {
		at := time.UnixMilli(v.EventTimeMs).UTC()
		d.EventTime = &at
	}
	return d
}
