package engage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// gated is the campaign of the gates' stories with words replaced.
func gated(t testing.TB, changes ...string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/campaigns/gated.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(changes...).Replace(string(b))
}

// kinds are the verdicts taken from a run, in order.
func kinds(r *proctest.Run) (all []string) {
	for _, v := range proctest.Take(r, topics.Verdicts) {
		all = append(all, v.Verdict)
	}
	return all
}

func TestVariantsShowTheirOwnAndAreNamedThroughout(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", gated(t,
		"experiment: {}", "experiment: {salt: s, variants: [{name: x, weight: 1}, {name: y, weight: 1}]}",
		"conversion: {}", "conversion: {events: [{event: buy, within: 1h}]}",
		"content: popup/gated", "content: popup/gated, title: Hi, variants: {y: {content: popup/y, body: There}}"))
	shown := map[string]int{}
	for i := range 40 {
		user := fmt.Sprint("u", i)
		post(r, bet(r, "demo", user, "a", "win"))
		actions, verdicts := proctest.Take(r, topics.Actions), proctest.Take(r, topics.Verdicts)
		if len(actions) != 1 || len(verdicts) != 1 {
			t.Fatalf("%d actions, %d verdicts", len(actions), len(verdicts))
		}
		a, v := actions[0], verdicts[0]
		name, _ := (&gate.Experiment{Salt: "s", Variants: []gate.Variant{{Name: "x", Weight: 1}, {Name: "y", Weight: 1}}}).Variant(user)
		want := map[string]string{
			"x": `popup/gated {"title":"Hi","content":"popup/gated"}`,
			"y": `popup/y {"title":"Hi","body":"There","content":"popup/y"}`,
		}[name]
		if a.Variant != name || v.Variant != name || a.Content+" "+string(a.Payload) != want || !bytes.Contains(v.Detail, []byte(`"variant_bucket"`)) {
			t.Errorf("%s of variant %s: %v and %v, want %s", user, name, a, v, want)
		}
		shown[name]++
		e := bet(r, "demo", user, "b", "")
		e.Name = "buy"
		post(r, e)
		if got := proctest.Take(r, topics.Verdicts); len(got) != 1 || got[0].Verdict != Converted || got[0].Variant != name || got[0].MatchId != v.MatchId || got[0].EventId != "b" {
			t.Errorf("got %v", got)
		}
	}
	if shown["x"] < 8 || shown["y"] < 8 {
		t.Errorf("shown were %v", shown)
	}
}

// Case 11 through a delay: the match is kept, the content is that of the moment of sending.
func TestWhatWaitsIsSentWithTheContentOfTheDay(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", gated(t, "{expire_after: 30s}", "{delay: 10m}"))
	post(r, bet(r, "demo", "ann", "a", "win"))
	delayed := proctest.Take(r, topics.Verdicts)
	declareSource(t, r, "demo", gated(t, "{expire_after: 30s}", "{delay: 20m, expire_after: 1m}", "popup/gated", "popup/new"))
	r.Advance(10 * time.Minute)
	actions, verdicts := proctest.Take(r, topics.Actions), proctest.Take(r, topics.Verdicts)
	if len(delayed) != 1 || len(actions) != 1 || len(verdicts) != 1 {
		t.Fatalf("%d, %d and %d records", len(delayed), len(actions), len(verdicts))
	}
	a, v := actions[0], verdicts[0]
	now := r.Now().UnixMilli()
	if a.Content != "popup/new" || a.MatchId != delayed[0].MatchId || a.Version == delayed[0].Version || a.DecidedMs != now || a.ExpiresMs != now+60_000 || a.EventId != "a" {
		t.Errorf("the action is %v", a)
	}
	if v.Verdict != Sent || v.ActionId != a.Id || !reflect.DeepEqual(v.EventIds, []string{"a"}) || v.EventTimeMs != proctest.Start.UnixMilli() || v.Id == delayed[0].Id {
		t.Errorf("the verdict is %v", v)
	}
}

func TestOnlySoManyResponsesWait(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t, "times: 3", "times: 33", "{expire_after: 30s}", "{delay: 1d}"))
	n := 0
	for range gate.MaxPending + 2 {
		for range 33 {
			post(r, bet(r, "demo", "ann", fmt.Sprintf("%0100d", n), "win"))
			n++
		}
	}
	got := kinds(r)
	want := slices.Concat(slices.Repeat([]string{Delay}, gate.MaxPending), []string{Cancelled, Cancelled})
	same(t, "the verdicts", got, want)
	if size := len(r.Row("demo/ann")); size > 400<<10 {
		t.Errorf("the row has %d bytes", size)
	}
	r.Advance(24 * time.Hour)
	// All are due at once, and compete for the slot.
	sent := proctest.Take(r, topics.Verdicts)
	if len(sent) != gate.MaxPending || sent[0].Verdict != Sent || len(sent[0].EventIds) != gate.MaxPendingIDs || sent[1].Verdict != Priority {
		t.Errorf("%d verdicts came: %v", len(sent), sent[:min(2, len(sent))])
	}
	if id := sent[0].EventIds[gate.MaxPendingIDs-1]; id != fmt.Sprintf("%0100d", 32) {
		t.Errorf("the newest event kept is %s", id)
	}
	post(r, bet(r, "demo", "ann", "more", "win"))
}

func TestUsersWithSpentCapsAreForgottenOnceNoCapLooks(t *testing.T) {
	r := proctest.New(t, Processor)
	source := gated(t, "caps: []", "caps: [{scope: channel, max: 1, per: 20d}]")
	declareSource(t, r, "demo", source)
	declareSource(t, r, "other", gated(t))
	post(r, bet(r, "demo", "ann", "a", "win"))
	post(r, bet(r, "other", "ann", "a", "win"))
	r.Retract(topics.Declarations.Name, "Campaign/other/hot")
	if got := kinds(r); !reflect.DeepEqual(got, []string{Sent, Sent}) {
		t.Fatalf("got %v", got)
	}
	r.Advance(19 * 24 * time.Hour)
	post(r, bet(r, "demo", "ann", "b", "win"))
	same(t, "the verdicts after 19 days", kinds(r), []string{Capped})
	row := decoded(t, r, "demo/ann")
	if len(row.Gates.Spends) != 1 {
		t.Errorf("%d spends are kept", len(row.Gates.Spends))
	}
	r.Advance(30 * 24 * time.Hour)
	if row := decoded(t, r, "demo/ann"); row.Gates != nil || len(row.Triggers) != 1 { // re-entry stays
		t.Errorf("left is %v", row)
	}
	if row := decoded(t, r, "other/ann"); row.Gates != nil {
		t.Errorf("the other tenant's row keeps %v, for caps that are not its own", row.Gates)
	}
}

// decoded is the stored state of a user.
func decoded(t *testing.T, r *proctest.Run, key string) *schemas.EngageRow {
	t.Helper()
	row, err := Processor.DecodeRow(r.Row(key))
	if err != nil {
		t.Fatal(err)
	}
	return processors.State[schemas.EngageRow](row)
}

func TestAZoneIsKeptUntilItIsTakenBack(t *testing.T) {
	r := proctest.New(t, Processor)
	for _, step := range []struct{ traits, want string }{
		{`{"timezone":"Europe/London"}`, "Europe/London"},
		{`{"timezone":"Mars"}`, "Europe/London"},
		{`{"timezone":7}`, "Europe/London"},
		{`{"name":"x"}`, "Europe/London"},
		{`[1]`, "Europe/London"},
		{``, "Europe/London"},
		{`{"timezone":null}`, ""},
		{`{"timezone":"Asia/Tokyo"}`, "Asia/Tokyo"},
	} {
		post(r, &schemas.Event{Tenant: "demo", UserId: "ann", Type: "identify", Name: "identify", TimeMs: r.Now().UnixMilli(), Traits: []byte(step.traits)})
		if got := decoded(t, r, "demo/ann").Gates.GetZone(); got != step.want {
			t.Errorf("after %s the zone is %q, want %q", step.traits, got, step.want)
		}
	}
	r.Advance(30 * 24 * time.Hour)
	if got := decoded(t, r, "demo/ann").Gates.GetZone(); got != "Asia/Tokyo" {
		t.Errorf("after a month the zone is %q", got)
	}
}

// A response that is found after its time, as by a row that slept through an outage, is not sent.
func TestAResponseFoundTooLateExpires(t *testing.T) {
	for late, want := range map[int64]string{29_999: Sent, 30_000: Expired} {
		due := proctest.Start.UnixMilli()
		state, err := rowCodec{}.Append(nil, &schemas.EngageRow{Gates: &schemas.GateState{
			Pending: []*schemas.PendingResponse{{Campaign: "hot", MatchId: "m", DueMs: due}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := (&schemas.Row{WakeMs: due + late, State: state}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		row, err := Processor.DecodeRow(envelope)
		if err != nil {
			t.Fatal(err)
		}
		c := processors.Call{Key: "demo/ann", NowMS: due + late, Row: row, Views: []any{fold(nil, "Campaign/demo/hot", &schemas.Declaration{Source: []byte(gated(t))}, false)}}
		if err := Processor.Wake(&c); err != nil {
			t.Fatal(err)
		}
		v, err := topics.Verdicts.Codec.Decode(c.Out[len(c.Out)-1].Value)
		if err != nil || v.Verdict != want {
			t.Errorf("%d ms late: %v, %v", late, v, err)
		}
	}
}

// final are the verdicts that end a match's way.
var final = []string{Reentry, Cancelled, Priority, Capped, Control, Expired, Sent}

// Whatever happens in whatever order, each match ends with one verdict, nothing is sent in quiet
// hours or beyond a cap, and the same log gives the same verdicts.
func TestEveryMatchEndsOnceAndGatesHold(t *testing.T) {
	s := seedtest.Draw(t)
	for round := range uint64(6) {
		first := tell(t, rand.New(rand.NewPCG(s, round)))
		if again := tell(t, rand.New(rand.NewPCG(s, round))); fmt.Sprint(again) != fmt.Sprint(first) {
			t.Fatal("the same log gave other verdicts")
		}
		check := map[string]string{}
		var sent []int64
		for _, v := range first {
			if v.MatchId == "" || v.Verdict == Converted || v.ActionId != "" && v.Verdict != Sent {
				continue
			}
			var d detail
			if err := json.Unmarshal(v.Detail, &d); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(final, v.Verdict) || d.Action == "cancel" {
				if check[v.MatchId] == "ended" {
					t.Fatalf("ended twice: %v", v)
				}
				check[v.MatchId] = "ended"
			} else if check[v.MatchId] == "" {
				check[v.MatchId] = "waits"
			}
			at := time.UnixMilli(v.DecidedMs).UTC()
			if hour := at.Hour(); v.Verdict == Sent && v.Campaign == "night" && (hour >= 22 || hour < 8) {
				t.Fatalf("sent at %s: %v", at, v)
			}
			if v.Verdict == Sent && v.Campaign == "capped" {
				sent = append(sent, v.DecidedMs)
				if n := len(sent); n > 2 && sent[n-3] > v.DecidedMs-(6*time.Hour).Milliseconds() {
					t.Fatalf("the third in six hours: %v", v)
				}
			}
		}
		for id, state := range check {
			if state != "ended" {
				t.Errorf("match %s %s for ever", id, state)
			}
		}
		if len(check) < 50 || len(sent) < 3 {
			t.Errorf("%d matches, %d sent under the cap", len(check), len(sent))
		}
	}
}

// tell is a random month of one user with campaigns that wait, are capped, split and convert.
func tell(t *testing.T, r *rand.Rand) []*schemas.Verdict {
	run := proctest.New(t, Processor)
	declare := func() {
		for name, changes := range map[string][]string{
			"night":  {"{expire_after: 30s}", `{delay: 1h, cancel_on: [{event: stop}], quiet_hours: {from: "22:00", to: "08:00", zone: UTC}}`},
			"drop":   {"{expire_after: 30s}", `{quiet_hours: {from: "12:00", to: "14:00", action: cancel}}`, "{mode: always}", "{mode: cooldown, every: 3h}"},
			"capped": {"slot: page_popup", "slot: ''", "caps: []", "caps: [{scope: campaign, max: 2, per: 6h}]", "conversion: {}", "conversion: {events: [{event: stop, within: 2h}]}"},
			"split":  {"slot: page_popup", "slot: ''", "experiment: {}", "experiment: {holdout: 50%, variants: [{name: x, weight: 1}]}"},
		} {
			declareSource(t, run, "demo", gated(t, append(changes, "name: hot", "name: "+name, "priority: 20", fmt.Sprint("priority: ", len(name)))...))
		}
	}
	declare()
	var actions []*schemas.Action
	for i := range 300 {
		e := bet(run, "demo", "ann", fmt.Sprint(i), "win")
		if r.IntN(4) == 0 {
			e.Name = "stop"
		}
		post(run, e)
		actions = append(actions, proctest.Take(run, topics.Actions)...)
		if len(actions) > 0 && r.IntN(4) == 0 {
			a := actions[r.IntN(len(actions))]
			proctest.Send(run, topics.Deliveries, "demo/ann", &schemas.Delivery{
				ActionId: a.Id, Tenant: "demo", User: "ann", Campaign: a.Campaign, Channel: "popup", Status: "seen", MatchId: a.MatchId, Version: a.Version,
			})
		}
		run.Advance(time.Duration(r.IntN(300)) * time.Minute)
	}
	run.Advance(3 * 24 * time.Hour)
	return proctest.Take(run, topics.Verdicts)
}

// The ids of answers make room for those of events; what a cap counts knows of the answer still.
func TestAnActionThatWasTakenDoesNotExpireThoughMuchHappenedSince(t *testing.T) {
	for status, want := range map[string][]string{"seen": {"SEEN"}, "failed": {"FAILED", "EXPIRED"}} {
		r := proctest.New(t, Processor)
		declareSource(t, r, "demo", hot(t, "times: 3", "times: 1"))
		post(r, bet(r, "demo", "ann", "a", "win"))
		a := proctest.Take(r, topics.Actions)[0]
		proctest.Take(r, topics.Verdicts)
		answer := func(status string) {
			proctest.Send(r, topics.Deliveries, "demo/ann", &schemas.Delivery{ActionId: a.Id, Tenant: "demo", User: "ann", Campaign: "hot", Status: status, TimeMs: 1})
		}
		answer(status)
		for i := range RecentIDs + 1 {
			post(r, bet(r, "demo", "ann", fmt.Sprint("e", i), "draw"))
		}
		answer("expired")
		var got []string
		for _, v := range proctest.Take(r, topics.Verdicts) {
			got = append(got, v.Verdict)
		}
		same(t, "what was written after "+status, got, want)
	}
}
