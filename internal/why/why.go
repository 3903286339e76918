package why

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Question asks about one user and one campaign.
type Question struct {
	Tenant, Campaign, User string
	// At is the time to answer for; what came later is left out.
	At time.Time
}

// Answer to a Question.
type Answer struct {
	Tenant   string    `json:"tenant"`
	Campaign string    `json:"campaign"`
	User     string    `json:"user"`
	At       time.Time `json:"at"`
	// Version and State of the campaign at that time; empty: it was not there.
	Version string `json:"version"`
	State   string `json:"state"`
	// Says is the answer in sentences.
	Says []string `json:"says"`
	// Events of the user in the log, and how many of them the campaign read.
	Events int `json:"events"`
	Read   int `json:"read"`
	// Merged are the ids that the user claimed, whose events are the user's.
	Merged []string `json:"merged,omitempty"`
	// Seen are the last events that the campaign read.
	Seen []Seen `json:"seen"`
	// Verdicts are those that were written on the campaign and the user, in order.
	Verdicts []rehearse.Decision `json:"verdicts"`
	// Progress is how far the pattern got.
	Progress Progress `json:"progress"`
	// Lists are how the user stood to the uploaded audiences that the campaign names.
	Lists []Membership `json:"lists,omitempty"`
	// SteppingMS is what stepping the events took, without reading them.
	SteppingMS float64 `json:"stepping_ms"`
}

// Progress is what a pattern holds of a user.
type Progress struct {
	// Kind of the pattern: count, sequence, absence, …
	Kind string `json:"kind,omitempty"`
	// Held are the events that are kept and not used up, of all values of a correlate field; Times is
	// how many complete a count pattern, 0 for another kind.
	Held   int       `json:"held"`
	Times  int       `json:"times,omitempty"`
	Events []string  `json:"events,omitempty"`
	First  time.Time `json:"first,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	// Due is when the next absence is decided, unless what it waits for comes; zero: none waits.
	Due time.Time `json:"due,omitzero"`
	// Fired is how many matches passed the gates.
	Fired uint32 `json:"fired"`
}

// maxSeen is how many of the last events an answer shows.
const maxSeen = 50

// record is one event of the user as it lies in the log.
type record struct {
	at    schemas.Coordinates
	ms    int64
	value []byte
	event *schemas.Event
	// in is the partition of the user's row; as is the id under which it came, if not the user's.
	in int32
	as string
}

// id of the event; one without is named by its coordinates.
func (r record) id() string {
	if r.event.Id != "" {
		return r.event.Id
	}
	return r.at.String()
}

// Ask reads the campaign's versions, and the events and verdicts of the user: of each topic, only the
// partition in which the user's records lie, whole. That is what takes time; stepping is short.
// declare.ErrUnknown: there never was such a campaign.
func Ask(ctx context.Context, cluster kafka.Config, q Question) (*Answer, error) {
	versions, _, err := declare.History(ctx, cluster, q.Tenant, q.Campaign)
	if err != nil {
		return nil, err
	}
	records, err := recordsOf(ctx, cluster, q, q.User)
	if err != nil {
		return nil, err
	}
	records, ids, err := merged(ctx, cluster, q, records)
	if err != nil {
		return nil, err
	}
	verdicts, err := verdictsOf(ctx, cluster, q)
	if err != nil {
		return nil, err
	}
	known, err := declare.Profiles(ctx, cluster, q.Tenant)
	if err != nil {
		return nil, err
	}
	lists, err := membershipsOf(ctx, cluster, q, versions, known)
	if err != nil {
		return nil, err
	}
	records, since, gone := forgotten(records, verdicts)
	lists.forget(since, gone)
	a, err := answer(q, versions, records, onCampaign(verdicts, q.Campaign), lists, known...)
	if err != nil {
		return nil, err
	}
	a.Merged = ids
	a.Says = append(a.Says, identities(a, gone)...)
	return a, nil
}

// recordsOf are the events under one id.
func recordsOf(ctx context.Context, cluster kafka.Config, q Question, user string) ([]record, error) {
	var all []record
	key := schemas.Key(q.Tenant, user)
	err := kafka.ReadRange(ctx, cluster, topics.Events.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key != key || e.Time.After(q.At) {
			return nil
		}
		ev, err := topics.Events.Codec.Decode(e.Value)
		if err != nil {
			return nil //nolint:nilerr // it is in the dead letters, and no event
		}
		all = append(all, record{at: e.At, ms: e.Time.UnixMilli(), value: e.Value, event: ev, in: e.At.Partition})
		return nil
	})
	return all, err
}

func verdictsOf(ctx context.Context, cluster kafka.Config, q Question) ([]*schemas.Verdict, error) {
	var all []*schemas.Verdict
	key := schemas.Key(q.Tenant, q.User)
	err := kafka.ReadRange(ctx, cluster, topics.Verdicts.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
		if e.Key != key {
			return nil
		}
		v, err := topics.Verdicts.Codec.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("verdict: %w", err)
		}
		if (v.Campaign == q.Campaign || v.Campaign == "") && v.DecidedMs <= q.At.UnixMilli() {
			all = append(all, v)
		}
		return nil
	})
	return all, err
}

// answer steps the events and puts everything together. known are the tenant's traits and audiences.
func answer(q Question, versions []declare.Version, records []record, verdicts []*schemas.Verdict, lists *memberships, known ...declare.Version) (*Answer, error) {
	a := &Answer{Tenant: q.Tenant, Campaign: q.Campaign, User: q.User, At: q.At.UTC(), Events: len(records), Seen: []Seen{}, Verdicts: []rehearse.Decision{}}
	inForce, c, err := at(versions, q.At)
	if err != nil {
		return nil, err
	}
	if c != nil {
		a.Version, a.State = c.Version, string(c.State)
	}
	began := time.Now()
	partition := int32(0)
	if len(records) > 0 {
		partition = records[0].in
	}
	t := newTracer(q, slices.Concat(known, versions), lists, partition)
	for _, r := range records {
		if err := t.event(r); err != nil {
			return nil, fmt.Errorf("step the event at %s: %w", r.at, err)
		}
	}
	if err := t.finish(q.At.UnixMilli()); err != nil {
		return nil, err
	}
	a.SteppingMS = float64(time.Since(began).Microseconds()) / 1000
	a.Read, a.Seen = len(t.seen), append(a.Seen, t.seen[max(0, len(t.seen)-maxSeen):]...)
	a.Progress, a.Lists = t.progressOf(c), t.standing()
	for _, v := range verdicts {
		a.Verdicts = append(a.Verdicts, rehearse.DecisionOf(v))
	}
	a.Says = append(says(a, versions, inForce, c), a.listed(t.seen)...)
	return a, nil
}

// at is the version in force at a time, with its campaign; nil for none.
func at(versions []declare.Version, when time.Time) (*declare.Version, *campaign.Campaign, error) {
	for i := len(versions) - 1; i >= 0; i-- {
		if v := &versions[i]; !v.Applied().After(when) {
			c, err := v.Campaign()
			return v, c, err
		}
	}
	return nil, nil, nil
}
