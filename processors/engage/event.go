package engage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/audience"
	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// MaxAhead is how far an event's time may be ahead of its record's. Patterns step an event beyond
// it at the record's time; else one client with a wrong clock would make all that follows late.
const MaxAhead = 24 * time.Hour

// maxTimeMS is the end of the year 9999.
const maxTimeMS = 253402300799999

// arrival is an event in the one turn that counts it, with what several campaigns ask of it and their row.
type arrival struct {
	*schemas.Event
	props predicate.Properties
	user  audience.User
	// kept is a copy of the id, for rows; empty: not made yet.
	kept string
	// held is how many events the row holds; -1: not counted yet.
	held int
	// tidy says that the row holds nothing of campaigns that are gone.
	tidy bool
	// dueMS is the earliest that became due in the row, Unix milliseconds; 0: nothing did.
	dueMS int64

	own schemas.Event
}

// id is the event's id as a row may keep it.
func (a *arrival) id() string {
	if a.kept == "" {
		a.kept = strings.Clone(a.Id)
	}
	return a.kept
}

// arrivals decodes events into arrivals, in the memory of their records. So what a row keeps of an event
// is copied: its id, what it claims, what is remembered of it. Facts lie there until they are packed.
type arrivals struct{ codec schemas.EventCodec }

// Append implements schemas.Codec.
func (c arrivals) Append(dst []byte, a *arrival) ([]byte, error) { return c.codec.Append(dst, a.Event) }

// Decode implements schemas.Codec.
func (c arrivals) Decode(b []byte) (*arrival, error) {
	e, err := c.codec.Decode(b)
	return &arrival{Event: e}, err
}

// Borrow implements schemas.Borrower.
func (c arrivals) Borrow(a *arrival, b []byte) (*arrival, error) {
	if a == nil {
		a = &arrival{}
	}
	e, err := c.codec.Alias(&a.own, b)
	if err != nil {
		return nil, err
	}
	a.Event, a.kept = e, ""
	return a, nil
}

// Return implements schemas.Borrower.
func (arrivals) Return(a *arrival) {
	a.own.Reset()
	a.Event, a.kept, a.user = nil, "", audience.User{}
	a.props.Reset(nil)
}

// onEvent takes an event to its user's row: this one, unless the id was claimed or erased.
func onEvent(t *turn, a *arrival) {
	e := a.Event
	complete(t, e)
	if err := check(t.Key, e); err != nil {
		t.Same()
		refuse(t, e.Id[:min(len(e.Id), schemas.MaxIDBytes)], err)
		return
	}
	if away(t.State) {
		m := message(t)
		m.Event = e
		if elsewhere(t, m, t.At.String()) {
			return
		}
	}
	count(t, a)
}

// count counts an event of the row's user once, and decides.
func count(t *turn, a *arrival) {
	e := a.Event
	if !firstSeen(t.State, eventHash(e.Id), t.Now) {
		t.Same()
		emit(t, &schemas.Verdict{Verdict: Duplicate, EventId: e.Id, EventTimeMs: e.TimeMs}, t.At.String(), nil)
		return
	}
	a.held, a.dueMS, a.tidy = -1, 0, false
	defer watchAfter(t, a) // the event may leave something that waits
	fact := processors.NewFact(t)
	fill(fact, e, t.At)
	processors.EmitFact(t, topics.Facts, fact)
	if e.Type == "identify" {
		rememberZone(t.State, e.Traits)
		learn(t, e)
	}
	claim(t, e)
	if e.Type == "identify" || e.Type == "alias" {
		relevant(t, true)
		return // profiles will read them; no campaign does
	}
	decide(t, a)
}

// complete fills in what a producer may leave out: the id is the record's coordinates, the times
// are the record's.
func complete(t *turn, e *schemas.Event) {
	if e.Id == "" {
		e.Id = t.At.String()
	}
	if e.ReceivedMs == 0 {
		e.ReceivedMs = t.Now.UnixMilli()
	}
	if e.TimeMs == 0 {
		e.TimeMs = e.ReceivedMs
	}
}

// check says why an event cannot be this key's.
func check(key string, e *schemas.Event) error {
	var faults []error
	tenant, user := schemas.SplitKey(key)
	if tenant != e.Tenant || user != e.User() || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, e.Key()))
	}
	if e.TimeMs < 0 || e.TimeMs > maxTimeMS {
		faults = append(faults, fmt.Errorf("time: %d ms is not between 1970 and 9999", e.TimeMs))
	}
	if err := e.Validate(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// fill makes a fact of an event as it counts.
func fill(f *schemas.Fact, e *schemas.Event, at schemas.Coordinates) {
	*f = schemas.Fact{
		EventID: e.Id, Tenant: e.Tenant, User: e.User(), Type: e.Type, Name: e.Name,
		TimeMS: e.TimeMs, ReceivedMS: e.ReceivedMs, N: 1,
		Path: e.Path, Referrer: e.Referrer, UserAgent: e.UserAgent, Address: e.Address, Source: e.Source,
		Properties: e.Properties, At: at,
	}
}

// answers are the verdicts that a channel's answers become, by status.
var answers = map[string]string{
	"pushed": "PUSHED", "seen": "SEEN", "clicked": "CLICKED", "dismissed": "DISMISSED", "expired": "EXPIRED", "failed": "FAILED",
}

// onDelivery takes a channel's answer to its user's row. The same answer to the same action counts once.
func onDelivery(t *turn, d *schemas.Delivery) {
	if err := checkDelivery(t.Key, d); err != nil {
		t.Same()
		refuse(t, "", err)
		return
	}
	if away(t.State) {
		m := message(t)
		m.Delivery = d
		if elsewhere(t, m, "") {
			return
		}
	}
	answered(t, d)
}

// taken says that a channel took the action before, as far as the row remembers.
func taken(row *schemas.EngageRow, action string) bool {
	for _, status := range []string{"pushed", "seen", "clicked", "dismissed"} {
		if slices.Contains(row.RecentIds, deliveryHash(action, status)) {
			return true
		}
	}
	return gate.Took(row.Gates.GetSpends(), actionHash(action))
}

// answered records what became of an action of the row's user. That it expired is no news of one that was
// taken: an engager that begins again may find it too late to push what was pushed before.
func answered(t *turn, d *schemas.Delivery) {
	if d.Status == "expired" && taken(t.State, d.ActionId) {
		t.Same()
		return
	}
	if !firstSeen(t.State, deliveryHash(d.ActionId, d.Status), t.Now) {
		t.Same()
		return
	}
	defer watch(t)
	if g := t.State.Gates; d.Status == "expired" || d.Status == "failed" {
		gate.Release(g.GetSpends(), actionHash(d.ActionId))
	} else {
		gate.Shown(g.GetSpends(), actionHash(d.ActionId))
	}
	emit(t, &schemas.Verdict{
		Campaign: d.Campaign, Version: d.Version, Variant: d.Variant, Verdict: answers[d.Status], Channel: d.Channel,
		MatchId: d.MatchId, ActionId: d.ActionId,
	}, "", &detail{DeliveredMS: d.TimeMs, Error: d.Error})
}

// checkDelivery says why a delivery cannot be this key's.
func checkDelivery(key string, d *schemas.Delivery) error {
	var faults []error
	tenant, user := schemas.SplitKey(key)
	if tenant != d.Tenant || user != d.User || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, schemas.Key(d.Tenant, d.User)))
	}
	if d.ActionId == "" || len(d.ActionId) > schemas.MaxIDBytes {
		faults = append(faults, fmt.Errorf("action: an id of %d bytes, 1 to %d are taken", len(d.ActionId), schemas.MaxIDBytes))
	}
	if answers[d.Status] == "" {
		faults = append(faults, fmt.Errorf("status: %q is none of pushed, seen, clicked, dismissed, expired, failed", d.Status))
	}
	return errors.Join(faults...)
}
