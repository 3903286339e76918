package engage

import (
	"encoding/json"
	"fmt"
	"slices"

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
	// Dropped: of a campaign with correlate, the progress of the value that was longest unseen made
	// room for another one.
	Dropped = "DROPPED"
	// Overfull: an identify call said more than a row keeps of a user.
	Overfull = "OVERFULL"
	// Outside: the user is not in the campaign's audience.
	Outside = "AUDIENCE"
	// Reentry: the user was reached before.
	Reentry = "REENTRY"
	// Delay: the response waits for the end of its delay.
	Delay = "DELAY"
	// Cancelled: the response waited and will not be sent.
	Cancelled = "CANCELLED"
	// Quiet: it is quiet hours; the response waits for their end, or is dropped.
	Quiet = "QUIET"
	// Priority: another campaign has the slot.
	Priority = "PRIORITY"
	// Capped: the user got enough.
	Capped = "CAP"
	// Control: the user is in the campaign's control group.
	Control = "CONTROL"
	// Expired: it is too late to show it; channels answer so too.
	Expired = "EXPIRED"
	// Sent: the response went out, or would have but for shadow.
	Sent = "SENT"
	// Converted: what the campaign is for happened after SENT or CONTROL.
	Converted = "CONVERTED"
)

// Verdicts are all kinds of verdicts, those of channels' answers too, in the order in which a match may
// meet them.
func Verdicts() []string {
	return []string{
		Invalid, Suppressed, Duplicate, Late, Dropped, Overfull, Outside, Reentry, Delay, Cancelled, Quiet, Priority, Capped, Control, Expired, Sent,
		answers["pushed"], answers["seen"], answers["clicked"], answers["dismissed"], answers["failed"], Converted, Erased, Lifted,
	}
}

// The counters that a worker shows.
var (
	counted = &processors.Counter{
		Name: "dwell_events_total", Label: "read", Values: []string{"no", "yes"},
		Help: "Events counted, by whether a campaign or trait of their tenant reads them. One that none reads costs its deduplication and its fact.",
	}
	spoken = &processors.Counter{Name: "dwell_verdicts_total", Help: "Verdicts written.", Label: "verdict", Values: Verdicts()}
)

// relevant counts an event, by whether something reads it.
func relevant(t *turn, read bool) {
	value := 0
	if read {
		value = 1
	}
	processors.Count(t, counted, value)
}

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

	Number *float64 `json:"number,omitempty"`
	Value  string   `json:"value,omitempty"`
	Held   int      `json:"held,omitempty"`

	DeliveredMS int64 `json:"delivered_ms,omitempty"`

	SinceMS int64    `json:"since_ms,omitempty"`
	Claimed []string `json:"claimed,omitempty"`
	Owner   string   `json:"owner,omitempty"`

	Reason  string `json:"reason,omitempty"`
	Pending int    `json:"pending,omitempty"`
	DelayMS int64  `json:"delay_ms,omitempty"`
	DueMS   int64  `json:"due_ms,omitempty"`
	Action  string `json:"action,omitempty"`
	Zone    string `json:"zone,omitempty"`

	Scope string `json:"scope,omitempty"`
	Max   int    `json:"max,omitempty"`
	PerMS int64  `json:"per_ms,omitempty"`
	Count int    `json:"count,omitempty"`

	Bucket        *uint32 `json:"bucket,omitempty"`
	Holdout       uint32  `json:"holdout,omitempty"`
	Salt          string  `json:"salt,omitempty"`
	VariantBucket *uint32 `json:"variant_bucket,omitempty"`

	Check       string         `json:"check,omitempty"`
	Failed      string         `json:"failed,omitempty"`
	Audience    string         `json:"audience,omitempty"`
	ListVersion int64          `json:"list_version,omitempty"`
	Where       string         `json:"where,omitempty"`
	User        map[string]any `json:"user,omitempty"`

	DecidedMS int64 `json:"decided_ms,omitempty"`
	AfterMS   int64 `json:"after_ms,omitempty"`
	Control   bool  `json:"control,omitempty"`
}

// about is a verdict of a campaign on one event.
func about(c *campaign.Campaign, eventID, verdict string) *schemas.Verdict {
	return &schemas.Verdict{Campaign: c.Name, Version: c.Version, Verdict: verdict, EventId: eventID}
}

// matched is a verdict of a campaign on a match.
func matched(d *decision, verdict string) *schemas.Verdict {
	v := about(d.reader.campaign, d.eventID, verdict)
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
	processors.Count(t, spoken, slices.Index(spoken.Values, v.Verdict))
}
