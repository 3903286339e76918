package engage

import (
	"encoding/json"
	"fmt"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The verdicts of this form. A channel's answers are verdicts of their own names: SEEN, CLICKED,
// DISMISSED, PUSHED, FAILED and EXPIRED.
const (
	// Invalid: the record is not what it claims to be; it counts nowhere.
	Invalid = "INVALID"
	// Duplicate: the id was stepped before.
	Duplicate = "DUPLICATE"
	// Late: the event is older than the campaign allows.
	Late = "LATE"
	// Reentry: the user was reached before.
	Reentry = "REENTRY"
	// Priority: another campaign has the slot.
	Priority = "PRIORITY"
	// Sent: the response went out, or would have but for shadow.
	Sent = "SENT"
)

// detail holds a gate's numbers; what a gate does not use is left out.
type detail struct {
	Shadow bool   `json:"shadow,omitempty"`
	Error  string `json:"error,omitempty"`

	HighestMS         int64 `json:"highest_ms,omitempty"`
	LateByMS          int64 `json:"late_by_ms,omitempty"`
	AllowedLatenessMS int64 `json:"allowed_lateness_ms,omitempty"`

	Mode        string `json:"mode,omitempty"`
	Fired       uint32 `json:"fired,omitempty"`
	LastMatchMS int64  `json:"last_match_ms,omitempty"`
	EveryMS     int64  `json:"every_ms,omitempty"`
	UntilMS     int64  `json:"until_ms,omitempty"`

	Slot           string `json:"slot,omitempty"`
	Winner         string `json:"winner,omitempty"`
	WinnerPriority *int32 `json:"winner_priority,omitempty"`
	Priority       *int32 `json:"priority,omitempty"`

	Times     int   `json:"times,omitempty"`
	WithinMS  int64 `json:"within_ms,omitempty"`
	SpanMS    int64 `json:"span_ms,omitempty"`
	ExpiresMS int64 `json:"expires_ms,omitempty"`

	DeliveredMS int64 `json:"delivered_ms,omitempty"`
}

// about is a verdict of a campaign on one event.
func about(c *campaign.Campaign, e *schemas.Event, verdict string) *schemas.Verdict {
	return &schemas.Verdict{Campaign: c.Name, Version: c.Version, Verdict: verdict, EventId: e.Id}
}

// matched is a verdict of a campaign on a match.
func matched(d decision, e *schemas.Event, verdict string) *schemas.Verdict {
	v := about(d.reader.campaign, e, verdict)
	v.MatchId, v.EventIds, v.EventTimeMs = d.id, d.match.EventIDs, d.match.LastMS
	return v
}

// maxErrorBytes bounds an error in a detail: it quotes the record.
const maxErrorBytes = 1000

// refuse says why a record was passed over.
func refuse(t *turn, eventID string, err error) {
	text := err.Error()
	emit(t, &schemas.Verdict{Verdict: Invalid, EventId: eventID}, t.At.String(), &detail{Error: text[:min(len(text), maxErrorBytes)]})
}

// emit fills in what every verdict has and sends it. A verdict's id is made of what it is about, so
// that it is the same on every replay; of tells verdicts apart that are about the same.
func emit(t *turn, v *schemas.Verdict, of string, d *detail) {
	v.Tenant, v.User = schemas.SplitKey(t.Key)
	subject := v.MatchId
	if subject == "" || v.Verdict == Late {
		subject = v.EventId
	}
	v.Id = processors.DeriveID(v.Tenant+"/"+v.Campaign, t.Key, subject, v.ActionId, v.Verdict, of)
	v.DecidedMs = t.Now.UnixMilli()
	v.SrcTopic, v.SrcPartition, v.SrcOffset = t.At.Topic, t.At.Partition, t.At.Offset
	if d != nil {
		b, err := json.Marshal(d)
		if err != nil {
			panic(fmt.Sprintf("engage: detail of %s: %v", v.Verdict, err)) // only numbers and text are in it
		}
		v.Detail = b
	}
	processors.Emit(t, topics.Verdicts, t.Key, v)
}
