package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/schemas"
)

// sent is a response as the oracle remembers it: all of them, for ever, by their names.
type sent struct {
	atMS           int64
	by             Subject
	kind           uint32
	shown, refused bool
}

// allowed is the naive oracle: it counts what is in (t-per, t].
func allowed(log []*sent, c Cap, s Subject, nowMS int64) (bool, int) {
	n := 0
	for _, o := range log {
		applies := false
		switch c.Scope {
		case "campaign":
			applies = o.by.Campaign == s.Campaign
		case "channel":
			applies = o.by.Channel == s.Channel
		case "global":
			applies = true
		default:
			applies = slices.Contains(o.by.Tags, c.Scope[4:])
		}
		if o.kind != SpentSent && o.by.Campaign != s.Campaign || o.kind == SpentShadow && !s.Shadow {
			applies = false
		}
		if applies && (!o.refused || o.shown) && nowMS-c.Per.Milliseconds() < o.atMS && o.atMS <= nowMS {
			n++
		}
	}
	return n < c.Max, n
}

// world is campaigns of one tenant with their caps.
type world struct {
	subjects []Subject
	caps     [][]Cap
}

func randomWorld(r *rand.Rand, unit time.Duration) (w world) {
	for i := range 2 + r.IntN(4) {
		s := Subject{Campaign: fmt.Sprint("c", i), Channel: []string{"popup", "push"}[r.IntN(2)], Shadow: r.IntN(5) == 0}
		for _, tag := range []string{"promo", "news"} {
			if r.IntN(2) == 0 {
				s.Tags = append(s.Tags, tag)
			}
		}
		scopes := []string{CampaignScope, ChannelScope, GlobalScope}
		for _, tag := range s.Tags {
			scopes = append(scopes, TagScope+tag)
		}
		var caps []Cap
		for range r.IntN(3) {
			caps = append(caps, Cap{Scope: scopes[r.IntN(len(scopes))], Max: 1 + r.IntN(4), Per: time.Duration(1+r.IntN(200)) * unit})
		}
		w.subjects, w.caps = append(w.subjects, s), append(w.caps, caps)
	}
	return w
}

// reach is how far the world's caps look.
func (w world) reach(scope uint64) (r Reach) {
	for i, caps := range w.caps {
		for _, c := range caps {
			if c.Key(w.subjects[i]) == scope {
				r.Max, r.Per = max(r.Max, c.Max), max(r.Per, c.Per)
			}
		}
	}
	return r
}

// Caps over a bounded memory decide as the oracle over all that ever was: windows, reservations,
// control groups, shadows, and answers that release or confirm, in any order.
func TestCapsDecideAsAnOracleThatForgetsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	longest := 0
	for round := range 1500 {
		// In hours, a week is soon over, and the last spends are not kept for being the last.
		unit := []time.Duration{time.Millisecond, 6 * time.Hour}[round%2]
		w := randomWorld(r, unit)
		var spends []*schemas.Spend
		var log []*sent
		var byAction []*sent
		now := int64(1_000_000)
		for range 120 {
			now += int64(r.IntN(6)) * unit.Milliseconds()
			i := r.IntN(len(w.subjects))
			if len(byAction) > 0 && r.IntN(3) == 0 { // a channel's answer
				n := max(0, len(byAction)-1-r.IntN(4))
				if o := byAction[n]; r.IntN(2) == 0 {
					Release(spends, uint64(n+1))
					o.refused = true
				} else {
					Shown(spends, uint64(n+1))
					kept := slices.ContainsFunc(spends, func(sp *schemas.Spend) bool { return sp.Action == uint64(n+1) })
					o.shown = o.shown || kept || !o.refused // a release that is forgotten is not taken back
				}
				continue
			}
			s := w.subjects[i]
			s.Shadow = s.Shadow && r.IntN(2) == 0 // it went live, or back
			free := true
			for _, c := range w.caps[i] {
				count, until := c.Full(spends, s, now)
				ok, n := allowed(log, c, s, now)
				if (until == 0) != ok || count < min(n, c.Max) || count > n {
					t.Fatalf("round %d at %d: %+v of %+v: counts %d until %d, want %d", round, now, c, s, count, until, n)
				}
				if !ok {
					free = false
					// At until, and not a moment before, one more fits if nothing else is sent.
					if before, _ := allowed(log, c, s, until-1); before {
						t.Fatalf("round %d: %+v is free before %d", round, c, until)
					}
					if after, _ := allowed(log, c, s, until); !after {
						t.Fatalf("round %d: %+v is not free at %d", round, c, until)
					}
				}
			}
			if !free {
				continue
			}
			o := &sent{atMS: now, by: s}
			sp := &schemas.Spend{AtMs: now, Scopes: s.Scopes()}
			switch {
			case s.Shadow:
				o.kind = SpentShadow
			case r.IntN(6) == 0:
				o.kind = SpentControl
			default:
				byAction = append(byAction, o)
				sp.Action = uint64(len(byAction))
			}
			sp.Kind = o.kind
			log = append(log, o)
			spends = Spend(spends, sp, w.reach)
			longest = max(longest, len(spends))
		}
		if err := Check(&schemas.GateState{Spends: spends}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("at most %d spends were kept", longest)
}

func TestACapIsHalfOpenToTheMillisecond(t *testing.T) {
	s := Subject{Campaign: "a", Channel: "popup"}
	c := Cap{Scope: ChannelScope, Max: 1, Per: 24 * time.Hour}
	spends := []*schemas.Spend{{AtMs: 1000, Scopes: s.Scopes()}}
	day := (24 * time.Hour).Milliseconds()
	for at, want := range map[int64]int{1000: 1, 1000 + day - 1: 1, 1000 + day: 0} {
		if n, until := c.Full(spends, s, at); n != want || (until == 1000+day) != (want == 1) {
			t.Errorf("at %d: %d, until %d", at, n, until)
		}
	}
}

func TestSpendsAreForgottenWhenNoCapLooks(t *testing.T) {
	s := Subject{Campaign: "a", Channel: "popup", Tags: []string{"x"}}
	none := func(uint64) Reach { return Reach{} }
	var spends []*schemas.Spend
	for i := range 3 * MaxSpends {
		spends = Spend(spends, &schemas.Spend{AtMs: int64(i), Scopes: s.Scopes()}, none)
	}
	if len(spends) != RecentSpends || spends[0].AtMs != 3*MaxSpends-RecentSpends {
		t.Errorf("%d spends are kept", len(spends))
	}
	if spends = Prune(spends, spends[0].AtMs+RecentFor.Milliseconds(), none); len(spends) != RecentSpends-1 {
		t.Errorf("%d spends are kept when the first is a week old", len(spends))
	}
	if spends = Prune(spends, 1<<50, none); len(spends) != 0 {
		t.Errorf("%d spends are kept for ever", len(spends))
	}
	all := func(uint64) Reach { return Reach{1 << 30, 1 << 60} }
	for i := range MaxSpends + 50 {
		spends = Spend(spends, &schemas.Spend{AtMs: int64(i), Scopes: s.Scopes()}, all)
	}
	if len(spends) != MaxSpends {
		t.Errorf("%d spends are kept, at most %d may be", len(spends), MaxSpends)
	}
}

func TestStatesThatNoStepLeftAreRefused(t *testing.T) {
	good := func() *schemas.GateState {
		return &schemas.GateState{
			Zone: "UTC", Pending: []*schemas.PendingResponse{{MatchId: "m", DueMs: 1}}, Awaited: []*schemas.AwaitedConversion{{}},
			Spends: []*schemas.Spend{{AtMs: 1, Scopes: []uint64{1}}, {AtMs: 1, Scopes: []uint64{1}}},
		}
	}
	if err := Check(good()); err != nil || Check(nil) != nil {
		t.Errorf("a good state: %v", err)
	}
	for name, spoil := range map[string]func(*schemas.GateState){
		"too many wait":      func(s *schemas.GateState) { s.Pending = make([]*schemas.PendingResponse, MaxPending+1) },
		"too many awaited":   func(s *schemas.GateState) { s.Awaited = make([]*schemas.AwaitedConversion, MaxAwaited+1) },
		"too many spends":    func(s *schemas.GateState) { s.Spends = make([]*schemas.Spend, MaxSpends+1) },
		"never due":          func(s *schemas.GateState) { s.Pending[0].DueMs = 0 },
		"no match":           func(s *schemas.GateState) { s.Pending[0].MatchId = "" },
		"too many events":    func(s *schemas.GateState) { s.Pending[0].EventIds = make([]string, MaxPendingIDs+1) },
		"no campaign":        func(s *schemas.GateState) { s.Spends[0].Scopes = nil },
		"spends unordered":   func(s *schemas.GateState) { s.Spends[0].AtMs = 2 },
		"an unknown kind":    func(s *schemas.GateState) { s.Spends[0].Kind = 3 },
		"a zone out of hand": func(s *schemas.GateState) { s.Zone = string(make([]byte, MaxZoneBytes+1)) },
	} {
		s := good()
		spoil(s)
		if Check(s) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
