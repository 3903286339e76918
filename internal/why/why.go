package why

import (
	"cmp"
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
	Tenant   string `json:"tenant"`
	Campaign string `json:"campaign"`
	User     string `json:"user"`
	// Asked is the id that was asked about, where it is not the user's own: the user had claimed it.
	Asked string    `json:"asked,omitempty"`
	At    time.Time `json:"at"`
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

	// stepped are the verdicts on the campaign when the events are stepped once more.
	stepped []*schemas.Verdict
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
	// as is the id under which it came, if not the user's.
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
	asked := q.User
	who, err := ownerOf(ctx, cluster, q)
	if err != nil {
		return nil, err
	}
	q.User = who.user
	records, err := recordsOf(ctx, cluster, q, q.User)
	if err != nil {
		return nil, err
	}
	records, ids, err := merged(ctx, cluster, q, records)
	if err != nil {
		return nil, err
	}
	verdicts, err := verdictsOf(ctx, cluster, q, ids)
	if err != nil {
		return nil, err
	}
	known, err := declare.Profiles(ctx, cluster, q.Tenant)
	if err != nil {
		return nil, err
	}
	lists, err := membershipsOf(ctx, cluster, q, ids, versions, known)
	if err != nil {
		return nil, err
	}
	records, since, gone := forgotten(q.User, records, verdicts)
	lists.forget(since, gone)
	a, err := answer(q, versions, records, onCampaign(verdicts, q.Campaign), lists, known...)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if id.records > 0 {
			a.Merged = append(a.Merged, id.id)
		}
	}
	if asked != q.User {
		a.Asked, a.Says = asked, append([]string{who.sentence(asked)}, a.Says...)
	}
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
		all = append(all, record{at: e.At, ms: e.Time.UnixMilli(), value: e.Value, event: ev})
		return nil
	})
	return all, err
}

// verdictsOf are the verdicts on the campaign, or on none, under the user's id and under those that the user
// claimed, by time.
func verdictsOf(ctx context.Context, cluster kafka.Config, q Question, ids []alias) ([]*schemas.Verdict, error) {
	var all []*schemas.Verdict
	for _, id := range append([]alias{{id: q.User}}, ids...) {
		key := schemas.Key(q.Tenant, id.id)
		err := kafka.ReadRange(ctx, cluster, topics.Verdicts.Spec, kafka.Range{Key: key}, func(e kafka.Entry) error {
			if e.Key != key {
				return nil
			}
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err != nil {
				return fmt.Errorf("verdict: %w", err)
			}
			if (v.Campaign == q.Campaign || v.Campaign == "") && v.DecidedMs <= q.At.UnixMilli() && id.owned(v.DecidedMs) {
				all = append(all, v)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b *schemas.Verdict) int { return cmp.Compare(a.DecidedMs, b.DecidedMs) })
	return all, nil
}

// placeOf says where the rows of the ids lie under which records came: in the records' partitions. Others, of which
// nothing depends on it, lie where the user's own does.
func placeOf(q Question, records []record) func(key string) int32 {
	places := map[string]int32{}
	for _, r := range records {
		places[r.event.Key()] = r.at.Partition
	}
	own := places[schemas.Key(q.Tenant, q.User)]
	return func(key string) int32 {
		if p, ok := places[key]; ok {
			return p
		}
		return own
	}
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
	t := newTracer(q, slices.Concat(known, versions), lists, placeOf(q, records))
	for _, r := range records {
		if err := t.event(r); err != nil {
			return nil, fmt.Errorf("step the event at %s: %w", r.at, err)
		}
	}
	if err := t.finish(q.At.UnixMilli()); err != nil {
		return nil, err
	}
	a.stepped = t.decided
	a.SteppingMS = float64(time.Since(began).Microseconds()) / 1000
	a.Read, a.Seen = len(t.seen), append(a.Seen, t.seen[max(0, len(t.seen)-maxSeen):]...)
	a.Progress, a.Lists = t.progressOf(c), t.standing(q.User)
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
