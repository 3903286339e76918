// Package why answers why a user did, or did not, get a campaign: from the events of the user in the
// log, the verdicts that were written, and the pattern stepped once more over those events.
package why

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/processors/engage"
	book "github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
)

// Effect says what an event did to the campaign's pattern.
type Effect string

// The effects.
const (
	// Counted: it became a part of the pattern.
	Counted Effect = "COUNTED"
	// Reset: the pattern starts over.
	Reset Effect = "RESET"
	// Nothing: the campaign read it, but it lies before a reset or before what a match used up.
	Nothing Effect = "NOTHING"
	// Matched: it completed the pattern; the verdicts say what the gates made of that.
	Matched Effect = "MATCHED"
	// Late and Duplicate are the verdicts of these names.
	Late      Effect = "LATE"
	Duplicate Effect = "DUPLICATE"
)

// Seen is one event that the campaign read.
type Seen struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Time   time.Time `json:"time"`
	At     string    `json:"at"`
	Effect Effect    `json:"effect"`
	// Held is how many unconsumed events the pattern had then.
	Held int `json:"held"`
	// As is the id under which it came, where that is not the user's own.
	As string `json:"as,omitempty"`
	// Version of the campaign that read it.
	Version string `json:"version"`
	// Lists are how the user stood to the campaign's uploaded audiences then, where it completed the pattern.
	Lists []Membership `json:"lists,omitempty"`
}

// tracer steps one campaign, and only it, over the events of one user, with the traits and audiences of
// the tenant and the lists that the user was in, as far as that can be known. Each event is stepped under the id
// under which it came, and a claim moves rows as it does in a worker.
type tracer struct {
	tenant, name, user string
	versions           []declare.Version
	stepper            *rehearse.Stepper
	probe              *rehearse.Stepper
	last               rehearse.Step
	version            string
	seen               []Seen
	// other counts the events that the campaign did not read.
	other int
	// place says where the row of a key lies.
	place func(key string) int32
	// decided are the campaign's verdicts on what was stepped, in order.
	decided []*schemas.Verdict
	// known are answers of reads, by name and properties, for the version in force.
	known map[string]bool
	// book is what is declared of audiences; joins are the memberships that are not stepped yet.
	book  book.Book
	lists *memberships
	joins []membership
}

// maxKnown bounds tracer.known.
const maxKnown = 4096

// newTracer traces a user.
func newTracer(q Question, versions []declare.Version, lists *memberships, place func(key string) int32) *tracer {
	t := &tracer{tenant: q.Tenant, name: q.Campaign, user: q.User, versions: versions, place: place, lists: lists, joins: lists.all}
	slices.SortStableFunc(t.versions, func(a, b declare.Version) int { return cmp.Compare(a.AppliedMs, b.AppliedMs) })
	t.stepper = rehearse.NewStepper(func(s rehearse.Step) error {
		for _, v := range s.Verdicts {
			if v.Campaign == t.name {
				t.decided = append(t.decided, v)
			}
		}
		if !s.Woken {
			t.last.Verdicts = append(t.last.Verdicts, s.Verdicts...)
		}
		return nil
	})
	t.stepper.Converse(place)
	t.probe = rehearse.NewStepper(func(rehearse.Step) error { return nil })
	return t
}

// declare puts the versions in force that were applied by ms, and the user into the lists of that time. A
// version that paused the campaign, or took it away, ends what it reads as it does in a worker.
func (t *tracer) declare(ms int64) error {
	for len(t.versions) > 0 && t.versions[0].AppliedMs <= ms {
		v := t.versions[0]
		if err := t.join(v.AppliedMs - 1); err != nil {
			return err
		}
		if err := t.stepper.Advance(v.AppliedMs - 1); err != nil { // what was due by then was decided by the versions before
			return err
		}
		t.versions, t.known = t.versions[1:], map[string]bool{}
		t.book, _ = t.book.Fold(v.Kind, t.tenant, v.Name, v.Declaration, v.Deleted)
		if v.Kind == engage.Kind || v.Kind == "" {
			t.version = v.Version
		}
		for _, s := range []*rehearse.Stepper{t.stepper, t.probe} {
			if err := rehearse.Declare(s, v.Declaration); err != nil {
				return err
			}
		}
	}
	return t.join(ms)
}

// join steps the memberships up to a time.
func (t *tracer) join(ms int64) error {
	for len(t.joins) > 0 && t.joins[0].ms <= ms {
		m := t.joins[0]
		t.joins = t.joins[1:]
		key := schemas.Key(m.of.Tenant, m.of.User)
		m.at.Partition = t.place(key)
		if err := t.stepper.Member(key, m.at, m.ms, m.value); err != nil {
			return fmt.Errorf("step the membership at %s: %w", m.at, err)
		}
	}
	return nil
}

// standing is how the user stands, as an id, to the uploaded audiences that the campaign names.
func (t *tracer) standing(id string) []Membership {
	var all []Membership
	row, id := t.rowOf(id)
	for _, name := range audiencesOf(t.stepper.Campaigns().Campaign(t.tenant, t.name)) {
		if a := t.book.Audience(t.tenant, name); a == nil || a.List {
			version := t.book.Current(t.tenant, name)
			all = append(all, t.lists.in(a, name, version, profile.In(row.GetProfile(), name, version), id))
		}
	}
	return all
}

// rowOf is the row that takes what comes under an id, nil for none, and whose it is: that of whoever claimed it.
func (t *tracer) rowOf(id string) (row *schemas.EngageRow, of string) {
	for range identity.MaxHops + 1 {
		key := schemas.Key(t.tenant, id)
		if row = t.stepper.Row(t.place(key), key); row.GetIdentity().GetOwner() == "" {
			break
		}
		id = row.Identity.Owner
	}
	return row, id
}

// event steps one record of the user.
func (t *tracer) event(rec record) error {
	if err := t.declare(rec.ms); err != nil {
		return err
	}
	id := rec.event.User()
	before := t.look(id)
	t.last = rehearse.Step{}
	err := t.stepper.Event(rec.event.Key(), rec.at, rec.ms, rec.value)
	if errors.Is(err, schemas.ErrUndecodable) {
		return nil // in the dead letters, and no event
	} else if err != nil {
		return err
	}
	after := t.look(id)
	effect, err := t.effect(rec, before, after)
	if err != nil || effect == "" {
		t.other++
		return err
	}
	s := Seen{
		ID: rec.id(), Name: rec.event.Name, Time: time.UnixMilli(rec.event.TimeMs).UTC(), At: rec.at.String(),
		Effect: effect, Held: after.held, Version: t.version, As: rec.as,
	}
	if effect == Matched {
		s.Lists = t.standing(id)
	}
	t.seen = append(t.seen, s)
	return nil
}

// progress is what of a row tells what an event did.
type progress struct {
	there                  bool
	held                   int
	highestMS, floorMS     int64
	fired                  uint32
	lastMatchMS, firstHeld int64
}

func (t *tracer) row(id string) *schemas.TriggerRow {
	row, _ := t.rowOf(id)
	for _, p := range row.GetTriggers() {
		if p.Campaign == t.name {
			return p
		}
	}
	return nil
}

func (t *tracer) look(id string) progress {
	p := t.row(id)
	if p == nil {
		return progress{}
	}
	n := progress{
		there: true, held: held(p), highestMS: p.HighestMs, floorMS: p.FloorMs, fired: p.Fired, lastMatchMS: p.LastMatchMs,
	}
	if len(p.EventTimesMs) > 0 {
		n.firstHeld = p.EventTimesMs[0]
	}
	return n
}

// effect of an event; empty: the campaign did not read it.
func (t *tracer) effect(rec record, before, after progress) (Effect, error) {
	for _, v := range t.last.Verdicts {
		switch {
		case v.Verdict == string(Duplicate):
			read, err := t.reads(rec)
			if !read || err != nil {
				return "", err
			}
			return Duplicate, nil
		case v.Campaign != t.name:
		case v.Verdict == string(Late):
			return Late, nil
		case v.MatchId != "":
			return Matched, nil
		}
	}
	switch {
	case calls(rec):
		return "", nil // it may have brought events along; each was shown when it came
	case after.held > before.held:
		return Counted, nil
	case after.floorMS > before.floorMS:
		return Reset, nil
	}
	read := before != after
	if !read {
		var err error
		if read, err = t.reads(rec); err != nil || !read {
			return "", err
		}
	}
	if after.highestMS > before.highestMS && after.held == before.held && after.held > 0 {
		return Counted, nil // it pushed one out of the window
	}
	return Nothing, nil
}

// calls says whether an event is one that no campaign reads, but that may claim ids.
func calls(rec record) bool { return rec.event.Type == "identify" || rec.event.Type == "alias" }

// reads says whether the campaign reads the event at all: then a new user gets a progress from it.
func (t *tracer) reads(rec record) (bool, error) {
	what := rec.event.Type + "\x00" + rec.event.Name + "\x00" + string(rec.event.Properties)
	if read, ok := t.known[what]; ok {
		return read, nil
	}
	defer t.probe.Drop(0)
	key := rec.event.Key()
	if err := t.probe.Event(key, schemas.Coordinates{Topic: rec.at.Topic, Offset: rec.at.Offset}, rec.ms, rec.value); err != nil {
		return false, err
	}
	row := t.probe.Row(0, key)
	read := row != nil && len(row.Triggers) > 0
	if len(t.known) < maxKnown && t.known != nil {
		t.known[what] = read
	}
	return read, nil
}

// finish brings time to the question's.
func (t *tracer) finish(ms int64) error {
	if err := t.declare(ms); err != nil {
		return err
	}
	return t.stepper.Advance(ms)
}

// held is how many unconsumed events a progress has, of all values of a correlate field.
func held(p *schemas.TriggerRow) int {
	n := len(p.EventIds)
	for _, part := range p.Parts {
		n += len(part.EventIds)
	}
	return n
}

// progressOf is what the pattern holds now.
func (t *tracer) progressOf(c *campaign.Campaign) Progress {
	var n Progress
	if c != nil {
		n.Kind = c.Trigger.Pattern.Name()
		if c.Trigger.Pattern.Count != nil {
			n.Times = c.Trigger.Pattern.Count.Times
		}
	}
	p := t.row(t.user)
	if p == nil {
		return n
	}
	n.Held, n.Fired = held(p), p.Fired
	if p.DueMs > 0 {
		n.Due = time.UnixMilli(p.DueMs).UTC()
	}
	add := func(ids []string, timesMS []int64) {
		for i, ms := range timesMS {
			at := time.UnixMilli(ms).UTC()
			if n.First.IsZero() || at.Before(n.First) {
				n.First = at
			}
			if at.After(n.Last) {
				n.Last = at
			}
			n.Events = append(n.Events, ids[i])
		}
	}
	add(p.EventIds, p.EventTimesMs)
	for _, part := range p.Parts {
		add(part.EventIds, part.EventTimesMs)
	}
	return n
}
