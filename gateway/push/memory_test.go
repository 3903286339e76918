package push

import (
	"fmt"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

func command(id string, expires int64) Command {
	return Command{Tenant: "t", User: "u", MatchID: "m", Version: "v", Variant: "B", Channel: "popup", Action: Action{ID: id, Campaign: "c", ExpiresMS: expires}}
}

func TestReplyIsToldOnceWithItsCampaign(t *testing.T) {
	m := newMemory(10)
	p := m.open("t/u", command("a", 0), time.Unix(0, 0))
	d := &schemas.Delivery{ActionId: "a", Status: Seen}
	if !m.answer("t/u", d, 0) || d.Campaign != "c" || d.MatchId != "m" || d.Version != "v" || d.Variant != "B" || d.Channel != "popup" {
		t.Fatalf("first seen: %v", d)
	}
	if m.answer("t/u", d, 0) {
		t.Error("seen is told twice")
	}
	if !m.answer("t/u", &schemas.Delivery{ActionId: "a", Status: Clicked}, 1) {
		t.Error("clicked after seen is not told")
	}
	if _, first := m.where(p); first != Seen {
		t.Errorf("first = %q", first)
	}
}

func TestReplyOfAnotherUserKnowsNothing(t *testing.T) {
	m := newMemory(10)
	p := m.open("t/u", command("a", 0), time.Unix(0, 0))
	d := &schemas.Delivery{ActionId: "a", Status: Seen}
	if !m.answer("t/v", d, 0) || d.Campaign != "" {
		t.Errorf("another user's reply carries %v", d)
	}
	if _, first := m.where(p); first != "" {
		t.Error("another user's reply ended the waiting")
	}
}

func TestMemoryForgetsTheOldestAndTheExpired(t *testing.T) {
	m, at := newMemory(3), time.Unix(1000, 0)
	for i := range 5 {
		m.open("t/u", command(fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute).UnixMilli()), at)
	}
	left := func() (s string) {
		for e := m.order.Front(); e != nil; e = e.Next() {
			s += e.Value.(*pushed).cmd.Action.ID
		}
		return s
	}
	if left() != "234" || len(m.byID) != 3 {
		t.Fatalf("left %q of %d", left(), len(m.byID))
	}
	m.sweep(at.Add(4 * time.Minute)) // 2 expired two minutes ago, 3 one minute ago
	if left() != "34" {
		t.Errorf("left %q after four minutes", left())
	}
	m.sweep(at.Add(time.Hour))
	if left() != "" || len(m.byID) != 0 {
		t.Errorf("left %q after an hour", left())
	}
}
