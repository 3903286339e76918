package engage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/identity"
	"github.com/dwellhq/dwell/processors/engage/profile"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// The verdicts of this file.
const (
	// Suppressed: the user was erased; the record counts nowhere.
	Suppressed = "SUPPRESSED"
	// Erased and Lifted are the answers to an operator's commands.
	Erased = "ERASED"
	Lifted = "LIFTED"
)

// away says that the row is a pointer or a marker, which holds nothing.
func away(row *schemas.EngageRow) bool {
	return row.Identity.GetOwner() != "" || row.Identity.GetSuppressedMs() != 0
}

// elsewhere says that the row takes no records itself: its user was erased, or it is a pointer, which
// sends the record on. of is what tells this record apart.
func elsewhere(t *turn, m *schemas.Identity, of string) bool {
	id := t.State.Identity
	switch {
	case id.GetSuppressedMs() != 0:
		t.Same()
		suppress(t, m, of)
	case id.GetOwner() != "" && m.Hops < identity.MaxHops:
		follow(t, m)
	case id.GetOwner() != "": // pointers go in a circle, which ends here
		t.State.Reset()
		t.WakeAt(time.Time{})
		return false
	default:
		return false
	}
	return true
}

// message is a record of this row as the owner's row gets it.
func message(t *turn) *schemas.Identity {
	return &schemas.Identity{SrcTopic: t.At.Topic, SrcPartition: t.At.Partition, SrcOffset: t.At.Offset, NowMs: t.Now.UnixMilli()}
}

// follow sends a message on to the owner of this id. The pointer stays as it is, but is renewed now and
// then while it is used.
func follow(t *turn, m *schemas.Identity) {
	m.Hops++
	send := t.State.Identity.Owner
	if t.Deadline().Sub(t.Now) < identity.PointerFor-identity.PointerRenew {
		t.WakeAt(t.Now.Add(identity.PointerFor))
	} else {
		t.Same()
	}
	sendTo(t, send, m)
}

// sendTo sends a message to the row of another id of the tenant.
func sendTo(t *turn, user string, m *schemas.Identity) {
	m.Tenant, _ = schemas.SplitKey(t.Key)
	m.User = user
	processors.Loop(t, topics.Identities, schemas.Key(m.Tenant, user), m)
}

// suppress says that a record of an erased user counts nowhere.
func suppress(t *turn, m *schemas.Identity, of string) {
	v := &schemas.Verdict{Verdict: Suppressed}
	d := &detail{SinceMS: t.State.Identity.SuppressedMs}
	switch {
	case m.Event != nil:
		v.EventId, v.EventTimeMs = m.Event.Id, m.Event.TimeMs
	case m.Delivery != nil:
		v.ActionId, v.Campaign, v.MatchId = m.Delivery.ActionId, m.Delivery.Campaign, m.Delivery.MatchId
		of += m.Delivery.Status
	case m.Handover != nil:
		d.Reason = "the history of " + m.Handover.From
	default:
		d.Reason = "a claim by " + m.Claim.GetOwner()
	}
	emit(t, v, of, d)
}

// onIdentity takes what another row, or an operator, has to say to this one.
func onIdentity(t *turn, m *schemas.Identity) {
	if err := checkIdentity(t.Key, m); err != nil {
		t.Same()
		refuse(t, "", err)
		return
	}
	switch of := t.At.String(); {
	case m.Erase != nil:
		erase(t, m)
	case m.Claim != nil && t.State.Identity.GetSuppressedMs() == 0:
		handOver(t, m.Claim.Owner)
	case elsewhere(t, m, of):
	case m.Handover != nil:
		other, err := rowCodec{}.Decode(m.Handover.Row)
		if err != nil {
			t.Same()
			refuse(t, "", fmt.Errorf("row of %q: %w", m.Handover.From, err))
			return
		}
		merge(t, m.Handover.From, other)
	default:
		t.At = schemas.Coordinates{Topic: m.SrcTopic, Partition: m.SrcPartition, Offset: m.SrcOffset}
		if m.Delivery != nil {
			answered(t, m.Delivery)
			return
		}
		m.Event.UserId = m.User // whose it turned out to be
		count(t, &arrival{Event: m.Event})
	}
}

// checkIdentity says why a message cannot be this key's.
func checkIdentity(key string, m *schemas.Identity) error {
	var faults []error
	if tenant, user := schemas.SplitKey(key); tenant != m.Tenant || user != m.User || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, schemas.Key(m.Tenant, m.User)))
	}
	kinds := 0
	for _, there := range []bool{m.Claim != nil, m.Handover != nil, m.Event != nil, m.Delivery != nil, m.Erase != nil} {
		if there {
			kinds++
		}
	}
	if kinds != 1 || m.Claim != nil && m.Claim.Owner == "" {
		faults = append(faults, fmt.Errorf("message: is %d of claim, handover, event, delivery and erase", kinds))
	}
	return errors.Join(faults...)
}

// claim asks the ids that a call names to hand themselves over. Each such call asks: only the id's own
// row knows whether somebody else claimed it meanwhile.
func claim(t *turn, e *schemas.Event) {
	for _, id := range identity.Claims(e) {
		identity.Claim(t.State, strings.Clone(id))
		sendTo(t, id, &schemas.Identity{Claim: &schemas.Claim{Owner: e.UserId, EventId: e.Id}})
	}
}

// handOver makes the row a pointer to its owner and sends what it held there, once: an id that was
// claimed before has nothing left, and begins afresh with its new owner.
func handOver(t *turn, owner string) {
	_, self := schemas.SplitKey(t.Key)
	was := t.State.Identity.GetOwner()
	if owner == self || owner == was {
		t.Same()
		return
	}
	if was == "" && t.State.SizeVT() > 0 {
		row, err := t.State.MarshalVT() // not packed: a worker of an older version may take it
		if err != nil {
			panic(fmt.Sprintf("engage: encode the row of %s: %v", t.Key, err)) // it was decoded
		}
		sendTo(t, owner, &schemas.Identity{Handover: &schemas.Handover{From: self, Row: row}})
	}
	t.State.Reset()
	identity.Of(t.State).Owner = owner
	t.WakeAt(t.Now.Add(identity.PointerFor))
}

// erase forgets the user at an operator's command: the row with all that waits in it, and the pointers
// to it. What is left is a marker of a few bytes.
func erase(t *turn, m *schemas.Identity) {
	id, e := t.State.Identity, m.Erase
	_, self := schemas.SplitKey(t.Key)
	switch {
	case e.Owner != "":
		if id.GetOwner() != e.Owner {
			t.Same() // somebody else's by now
			return
		}
		t.Forget()
		announce(t, e.Request, false)
		return
	case e.Lift:
		lift(t, e)
		return
	case id.GetSuppressedMs() != 0:
		t.Same()
	default:
		announce(t, e.Request, true)
		for _, claimed := range id.GetClaimed() {
			sendTo(t, claimed, &schemas.Identity{Erase: &schemas.Erase{Request: e.Request, Owner: self}})
		}
	}
	d := &detail{
		Held: len(t.State.Triggers), Pending: len(t.State.Gates.GetPending()), Claimed: id.GetClaimed(), Owner: id.GetOwner(),
	}
	if d.Owner != "" && m.Hops < identity.MaxHops { // the rest of the person is there
		sendTo(t, d.Owner, &schemas.Identity{Hops: m.Hops + 1, Erase: &schemas.Erase{Request: e.Request}})
	}
	if id.GetSuppressedMs() == 0 {
		t.State.Reset()
		identity.Of(t.State).SuppressedMs = max(1, t.Now.UnixMilli())
		t.WakeAt(time.Time{})
	}
	emit(t, &schemas.Verdict{Verdict: Erased, EventId: e.Request}, t.At.String(), d)
}

// announce tells the other processors to forget what they have under this id.
func announce(t *turn, request string, suppressed bool) {
	tenant, user := schemas.SplitKey(t.Key)
	processors.Emit(t, topics.Erasures, t.Key, &schemas.Erasure{Tenant: tenant, User: user, Request: request, Suppressed: suppressed})
	processors.Emit(t, topics.Traits, t.Key, &schemas.TraitUpdate{
		Tenant: tenant, User: user, EventId: request, TimeMs: t.Now.UnixMilli(), Erased: true,
	})
}

// lift lets an erased user come again, as a new one.
func lift(t *turn, e *schemas.Erase) {
	d := &detail{SinceMS: t.State.Identity.GetSuppressedMs()}
	if d.SinceMS == 0 {
		t.Same()
		d.Reason = "nothing was suppressed"
	} else {
		t.Forget()
		announce(t, e.Request, false)
	}
	emit(t, &schemas.Verdict{Verdict: Lifted, EventId: e.Request}, t.At.String(), d)
}

// remember keeps an anonymous user's event for whoever will claim it, for as long as one of the
// campaigns that read it may make something of it.
func remember(t *turn, e *schemas.Event, readers []reader, traits []*profile.Definition) {
	if _, user := schemas.SplitKey(t.Key); !schemas.IsAnonymous(user) || len(readers)+len(traits) == 0 {
		return
	}
	until := e.TimeMs
	for _, d := range traits {
		until = max(until, e.TimeMs+cmp.Or(d.Over, identity.PointerFor).Milliseconds())
	}
	for _, r := range readers {
		f := &r.campaign.Trigger.Frame
		until = max(until, clock(t, e, r.campaign)+(f.Within+f.AllowedLateness).Milliseconds())
	}
	identity.Remember(t.State, &schemas.RememberedEvent{
		Id: strings.Clone(e.Id), Name: strings.Clone(e.Name), TimeMs: e.TimeMs, NowMs: t.Now.UnixMilli(), UntilMs: until, Properties: slices.Clone(e.Properties),
	})
}
