package identity

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/schemas"
)

func TestOnlyCallsThatNameBothClaim(t *testing.T) {
	for _, c := range []struct {
		e    *schemas.Event
		want []string
	}{
		{&schemas.Event{Type: "identify", UserId: "ann", AnonymousId: "p"}, []string{"~p"}},
		{&schemas.Event{Type: "identify", UserId: "ann"}, nil},
		{&schemas.Event{Type: "identify", AnonymousId: "p"}, nil},
		{&schemas.Event{Type: "track", UserId: "ann", AnonymousId: "p", PreviousId: "x"}, nil},
		{&schemas.Event{Type: "alias", UserId: "ann", PreviousId: "x"}, []string{"~x", "x"}},
		{&schemas.Event{Type: "alias", UserId: "ann", AnonymousId: "x", PreviousId: "x"}, []string{"~x", "x"}},
		{&schemas.Event{Type: "alias", UserId: "ann", PreviousId: "ann"}, []string{"~ann"}},
		{&schemas.Event{Type: "alias", UserId: "ann", PreviousId: "~p"}, []string{"~~p"}}, // no way to name an anonymous row as a user
		{&schemas.Event{Type: "alias", AnonymousId: "p", PreviousId: "x"}, nil},
	} {
		if got := Claims(c.e); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v claims %v, want %v", c.e, got, c.want)
		}
	}
}

func remembered(id string, ms, until int64, bytes int) *schemas.RememberedEvent {
	return &schemas.RememberedEvent{Id: id, Name: "bet", TimeMs: ms, NowMs: ms, UntilMs: until, Properties: make([]byte, bytes)}
}

func TestARowRemembersWhatMayStillMatter(t *testing.T) {
	row := &schemas.EngageRow{}
	for i := range 3 * MaxRemembered {
		Remember(row, remembered(fmt.Sprint(i), int64(i), 1_000_000, 10))
	}
	if s := row.Identity.Remembered; len(s) != MaxRemembered || s[0].Id != fmt.Sprint(2*MaxRemembered) || s[MaxRemembered-1].Id != fmt.Sprint(3*MaxRemembered-1) {
		t.Errorf("%d events from %s", len(s), s[0].Id)
	}
	Remember(row, remembered("later", 1_000_001, 2_000_000, 10))
	if s := row.Identity.Remembered; len(s) != 1 || s[0].Id != "later" {
		t.Errorf("%d events, though the window of all but one is over", len(s))
	}
	for i := range 10 {
		Remember(row, remembered(fmt.Sprint("big", i), 1_000_002, 2_000_000, MaxRememberedBytes/4))
	}
	if s := row.Identity.Remembered; len(s) != 3 || s[2].Id != "big9" || row.SizeVT() > MaxRememberedBytes+1024 {
		t.Errorf("%d events, %d bytes", len(s), row.SizeVT())
	}
	Remember(row, remembered("huge", 1_000_003, 2_000_000, MaxRememberedBytes+1))
	if s := row.Identity.Remembered; len(s) != 0 {
		t.Errorf("%d events beside one that is too large", len(s))
	}
}

func TestTheNewestClaimsAreKnown(t *testing.T) {
	row := &schemas.EngageRow{}
	for i := range MaxClaimed + 5 {
		Claim(row, fmt.Sprint(i))
		Claim(row, fmt.Sprint(i))
	}
	if s := row.Identity.Claimed; len(s) != MaxClaimed || s[0] != "5" {
		t.Errorf("%d ids from %s", len(s), s[0])
	}
	if !Idle(row) || Idle(&schemas.EngageRow{Identity: &schemas.IdentityState{Remembered: []*schemas.RememberedEvent{{}}}}) {
		t.Error("an idle row keeps what it need not, or not what it must")
	}
}

func TestIdsOfTwoRowsAreOneListByTime(t *testing.T) {
	a := &schemas.EngageRow{RecentIds: []uint64{1, 2, 3}, RecentS: []uint32{10, 20, 30}}
	b := &schemas.EngageRow{RecentIds: []uint64{4, 2, 5}, RecentS: []uint32{5, 20, 25}}
	Unite(a, b, 4)
	if !reflect.DeepEqual(a.RecentIds, []uint64{1, 2, 5, 3}) || !reflect.DeepEqual(a.RecentS, []uint32{10, 20, 25, 30}) {
		t.Errorf("%v at %v", a.RecentIds, a.RecentS)
	}
}

func TestGatesAreUnited(t *testing.T) {
	spend := func(ms int64) *schemas.Spend { return &schemas.Spend{AtMs: ms, Scopes: []uint64{1}} }
	pending := func(n int, ms int64) (all []*schemas.PendingResponse) {
		for i := range n {
			all = append(all, &schemas.PendingResponse{MatchId: fmt.Sprint(ms, i), DueMs: ms + int64(i)})
		}
		return all
	}
	a := &schemas.EngageRow{Gates: &schemas.GateState{Spends: []*schemas.Spend{spend(1), spend(5)}, Pending: pending(30, 100), Zone: "Europe/London"}}
	b := &schemas.EngageRow{Gates: &schemas.GateState{Spends: []*schemas.Spend{spend(3)}, Pending: pending(5, 50), Zone: "Asia/Tokyo", Awaited: []*schemas.AwaitedConversion{{MatchId: "m"}}}}
	dropped := Unite(a, b, 10)
	g := a.Gates
	if len(g.Spends) != 3 || g.Spends[1].AtMs != 3 || g.Zone != "Europe/London" || len(g.Awaited) != 1 || len(g.Pending) != gate.MaxPending || g.Pending[0].DueMs != 50 {
		t.Errorf("%v", g)
	}
	if len(dropped) != 3 || dropped[2].DueMs != 129 {
		t.Errorf("dropped are %v", dropped)
	}
	if err := gate.Check(g); err != nil {
		t.Error(err)
	}
	empty := &schemas.EngageRow{}
	if Unite(empty, &schemas.EngageRow{}, 10); empty.Gates != nil {
		t.Error("two rows without gates have some")
	}
}

func TestSpentReentryIsUnited(t *testing.T) {
	row := func(fired uint32, last int64, shadow bool) *schemas.TriggerRow {
		return &schemas.TriggerRow{Fired: fired, LastMatchMs: last, Shadow: shadow}
	}
	for i, c := range []struct {
		p, other *schemas.TriggerRow
		inShadow bool
		want     string
	}{
		{row(1, 5, false), row(2, 9, false), false, "3 9 false"},
		{row(0, 0, false), row(2, 9, true), true, "2 9 true"},
		{row(1, 5, false), row(2, 9, true), false, "1 5 false"}, // given back when the campaign sends
		{row(1, 5, true), row(2, 9, false), true, "2 9 false"},
		{row(1, 5, false), row(2, 9, true), true, "1 5 false"},
		{row(1, 5, true), row(0, 0, false), true, "1 5 true"},
	} {
		UniteSpent(c.p, c.other, c.inShadow)
		if got := fmt.Sprint(c.p.Fired, " ", c.p.LastMatchMs, " ", c.p.Shadow); got != c.want {
			t.Errorf("case %d: %s, want %s", i, got, c.want)
		}
	}
}

func TestRowsThatNoStepLeavesAreRefused(t *testing.T) {
	for name, row := range map[string]*schemas.EngageRow{
		"a pointer with a history":     {RecentIds: []uint64{1}, RecentS: []uint32{1}, Identity: &schemas.IdentityState{Owner: "ann"}},
		"a pointer of an erased user":  {Identity: &schemas.IdentityState{Owner: "ann", SuppressedMs: 1}},
		"a marker with a profile":      {Profile: &schemas.ProfileState{}, Identity: &schemas.IdentityState{SuppressedMs: 1}},
		"a marker with claims":         {Identity: &schemas.IdentityState{SuppressedMs: 1, Claimed: []string{"~p"}}},
		"more than may be remembered":  {Identity: &schemas.IdentityState{Remembered: make([]*schemas.RememberedEvent, MaxRemembered+1)}},
		"more ids than may be claimed": {Identity: &schemas.IdentityState{Claimed: strings.Split(strings.Repeat("x ", MaxClaimed+1), " ")}},
	} {
		if Check(row) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, row := range []*schemas.EngageRow{{}, {Identity: &schemas.IdentityState{Owner: "ann"}}, {Identity: &schemas.IdentityState{SuppressedMs: 1}}, {RecentIds: []uint64{1}, Identity: &schemas.IdentityState{Claimed: []string{"~p"}}}} {
		if err := Check(row); err != nil {
			t.Errorf("%v: %v", row, err)
		}
	}
}
