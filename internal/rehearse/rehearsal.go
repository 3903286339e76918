package rehearse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// ahead is how far a record's time may lie ahead of the clock and still let others' deadlines come, as
// in a worker.
const ahead = time.Minute

// sent is the verdict on a response that would go out.
const sent = engage.Sent

// Rehearsal runs campaigns over events and counts what they decide. Nobody answers in it: what would
// be sent is neither seen nor failed, and campaigns that are not among its own take no slot and no
// cap. It belongs to one goroutine. Its memory is the rows of the users, 8 bytes a user that was ever
// there, and the id of each match.
type Rehearsal struct {
	tenant    string
	stepper   *Stepper
	report    Report
	campaigns map[string]*CampaignReport
	users     map[uint64]struct{}
	decisions *json.Encoder
	buf       []byte
}

// New rehearses the campaigns for a tenant. Those that would not decide (draft, paused, archived) are
// rehearsed as if they were live; shadow and live ones as they are. Every verdict goes to decisions,
// one JSON object a line, unless it is nil.
func New(tenant string, campaigns []*campaign.Campaign, decisions io.Writer) (*Rehearsal, error) {
	return NewOf(tenant, campaign.File{Campaigns: campaigns}, decisions)
}

// NewOf is New for campaigns with the audiences and traits that they read. Uploaded audiences are empty
// in a rehearsal: who is in them is not in the log.
func NewOf(tenant string, file campaign.File, decisions io.Writer) (*Rehearsal, error) {
	r := &Rehearsal{tenant: tenant, campaigns: map[string]*CampaignReport{}, users: map[uint64]struct{}{}}
	if decisions != nil {
		r.decisions = json.NewEncoder(decisions)
		r.decisions.SetEscapeHTML(false)
	}
	r.stepper = NewStepper(r.count)
	r.stepper.ceilingMS = time.Now().Add(ahead).UnixMilli()
	faults := []error{r.know(file)}
	for _, c := range file.Campaigns {
		faults = append(faults, r.cast(c))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	for _, f := range r.stepper.Campaigns().Faults() {
		faults = append(faults, f.Err)
	}
	slices.SortFunc(r.report.Campaigns, byName)
	return r, errors.Join(faults...)
}

// know puts traits and audiences in force; a list has no members.
func (r *Rehearsal) know(file campaign.File) error {
	var faults []error
	for _, d := range declare.Documents(campaign.File{Audiences: file.Audiences, Traits: file.Traits}) {
		faults = append(faults, Declare(r.stepper, &schemas.Declaration{Kind: d.Kind, Tenant: r.tenant, Name: d.Name, Version: d.Version, Source: d.Source, File: d.File}))
	}
	for _, a := range file.Audiences {
		if a.List {
			faults = append(faults, Declare(r.stepper, &schemas.Declaration{Kind: audience.ListKind, Tenant: r.tenant, Name: a.Name, Version: "1", Source: []byte("{}")}))
		}
	}
	return errors.Join(faults...)
}

// cast puts a campaign in force.
func (r *Rehearsal) cast(c *campaign.Campaign) error {
	as := c
	if !c.State.Decides() {
		var err error
		if as, err = declare.WithState(c, campaign.Live); err != nil {
			return err
		}
	}
	cr := newCampaignReport(c.Name, c.Version, string(c.State), string(as.State))
	r.campaigns[c.Name] = cr
	r.report.Campaigns = append(r.report.Campaigns, cr)
	d := &schemas.Declaration{Kind: engage.Kind, Tenant: r.tenant, Name: c.Name, Version: as.Version, Source: as.Source, File: c.File}
	return Declare(r.stepper, d)
}

// Declare puts a declaration in force in a Stepper; without a source, it takes it away. Without a kind
// it is a campaign's.
func Declare(s *Stepper, d *schemas.Declaration) error {
	key := cmp.Or(d.Kind, engage.Kind) + "/" + d.Tenant + "/" + d.Name
	if len(d.Source) == 0 {
		return s.Declare(topics.Declarations.Name, key, nil)
	}
	b, err := topics.Declarations.Codec.Append(nil, d)
	if err != nil {
		return fmt.Errorf("declare %s: %w", d.Name, err)
	}
	return s.Declare(topics.Declarations.Name, key, b)
}

// Event steps one event.
func (r *Rehearsal) Event(rec Record) error {
	var err error
	if r.buf, err = topics.Events.Codec.Append(r.buf[:0], rec.Event); err != nil {
		return fmt.Errorf("event at %s: %w", rec.At, err)
	}
	return r.bytes(rec.Key, rec.At, rec.MS, r.buf)
}

func (r *Rehearsal) bytes(key string, at schemas.Coordinates, ms int64, value []byte) error {
	h := fnv.New64a()
	h.Write([]byte(key))
	r.users[h.Sum64()] = struct{}{}
	t := time.UnixMilli(ms).UTC()
	if r.report.Events == 0 || t.Before(r.report.From) {
		r.report.From = t
	}
	if t.After(r.report.To) {
		r.report.To = t
	}
	if p := r.stepper.parts[at.Partition]; p != nil && p.timeMS > ms {
		r.report.BackMS = max(r.report.BackMS, p.timeMS-ms)
	}
	r.report.Events++
	return r.stepper.Event(key, at, ms, value)
}

// Bad notes a line or record that is no event.
func (r *Rehearsal) Bad(b Bad) {
	r.report.Unreadable++
	if len(r.report.Bad) < maxBad {
		r.report.Bad = append(r.report.Bad, b)
	}
}

// Finish lets time go on to until, so that what waited by then is decided, and returns the report. A
// zero until means the last event's time.
func (r *Rehearsal) Finish(until time.Time) (*Report, error) {
	if until.IsZero() {
		until = r.report.To
	}
	if err := r.stepper.Advance(until.UnixMilli()); err != nil {
		return nil, err
	}
	r.report.Users = len(r.users)
	for _, c := range r.report.Campaigns {
		c.close()
	}
	return &r.report, nil
}

// File rehearses a file of events and finishes at its last.
func (r *Rehearsal) File(in io.Reader, partitions int32) (*Report, error) {
	lines := Lines{Tenant: r.tenant, Partitions: partitions}
	r.stepper.place = func(key string) int32 { return kafka.PartitionOf(key, partitions) }
	if err := lines.Read(in, r.Event, r.Bad); err != nil {
		return nil, err
	}
	return r.Finish(time.Time{})
}

// Topic rehearses the tenant's events in Kafka from since on, partition by partition, and finishes at
// now. What a user did before since is not known to it.
func (r *Rehearsal) Topic(ctx context.Context, cluster kafka.Config, since, now time.Time) (*Report, error) {
	last := int32(-1)
	err := kafka.ReadRange(ctx, cluster, topics.Events.Spec, kafka.Range{Since: since}, func(e kafka.Entry) error {
		if tenant, _ := schemas.SplitKey(e.Key); tenant != r.tenant {
			return nil
		}
		if e.At.Partition != last && last >= 0 { // the rows of the one before are needed no more
			if err := r.leave(last, now); err != nil {
				return err
			}
		}
		last = e.At.Partition
		err := r.bytes(e.Key, e.At, e.Time.UnixMilli(), e.Value)
		if errors.Is(err, schemas.ErrUndecodable) { // a worker puts it to the dead letters
			r.report.Events--
			r.Bad(Bad{e.At.Offset, e.At.String() + ": " + err.Error()})
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.Finish(now)
}

func (r *Rehearsal) leave(partition int32, now time.Time) error {
	err := r.stepper.Advance(now.UnixMilli())
	r.stepper.Drop(partition)
	return err
}

// count takes what a step decided into the report.
func (r *Rehearsal) count(s Step) error {
	if s.Fact {
		r.report.Counted++
	}
	for _, v := range s.Verdicts {
		switch v.Verdict {
		case engage.Duplicate:
			r.report.Duplicates++
		case engage.Invalid:
			r.report.Invalid++
		}
		if c := r.campaigns[v.Campaign]; c != nil {
			v.Version = c.Version // of the file, whatever state it was rehearsed in
			c.add(v)
		}
		if r.decisions == nil {
			continue
		}
		if err := r.decisions.Encode(DecisionOf(v)); err != nil {
			return fmt.Errorf("write a decision: %w", err)
		}
	}
	return nil
}
