package engage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// hot is the campaign of the stories with words replaced.
func hot(t testing.TB, changes ...string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/campaigns/hot.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(changes...).Replace(string(b))
}

// bet is an event of a user at the run's time.
func bet(r *proctest.Run, tenant, user, id, result string) *schemas.Event {
	now := r.Now().UnixMilli()
	return &schemas.Event{
		Id: id, Tenant: tenant, UserId: user, Type: "track", Name: "bet", TimeMs: now, ReceivedMs: now,
		Properties: []byte(`{"result": "` + result + `"}`),
	}
}

func post(r *proctest.Run, e *schemas.Event) { proctest.Send(r, topics.Events, e.Key(), e) }

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is\n%+v, want\n%+v", what, got, want)
	}
}

func TestEveryColumnIsFilled(t *testing.T) {
	r := proctest.New(t, Processor)
	source := hot(t, "times: 3", "times: 2")
	declareSource(t, r, "demo", source)
	e := bet(r, "demo", "ann", "a", "win")
	e.AnonymousId, e.Path, e.Referrer, e.UserAgent, e.Address, e.Source = "anon", "/p", "ref", "ua", "192.0.2.0", "key1"
	post(r, e)
	r.Advance(time.Minute)
	post(r, bet(r, "demo", "ann", "b", "win"))

	facts := r.TakeFacts(topics.Facts)
	if len(facts) != 2 {
		t.Fatalf("%d facts", len(facts))
	}
	start := proctest.Start.UnixMilli()
	same(t, "the fact", facts[0], &schemas.Fact{
		EventID: "a", Tenant: "demo", User: "ann", Type: "track", Name: "bet", TimeMS: start, ReceivedMS: start, N: 1,
		Path: "/p", Referrer: "ref", UserAgent: "ua", Address: "192.0.2.0", Source: "key1", Properties: e.Properties,
		At: schemas.Coordinates{Topic: topics.Events.Name},
	})

	actions, verdicts := proctest.Take(r, topics.Actions), proctest.Take(r, topics.Verdicts)
	if len(actions) != 1 || len(verdicts) != 1 {
		t.Fatalf("%d actions, %d verdicts", len(actions), len(verdicts))
	}
	now := start + 60_000
	match := processors.DeriveID("demo/hot", "demo/ann", "b")
	a, v := actions[0], verdicts[0]
	same(t, "the action", fmt.Sprint(a), fmt.Sprint(&schemas.Action{
		Id: processors.DeriveID(match, "popup"), Tenant: "demo", User: "ann", Campaign: "hot", Version: a.Version, Channel: "popup",
		Content: "popup/hot", Slot: "page_popup", Priority: 20, DecidedMs: now, ExpiresMs: now + 30_000, MatchId: match, EventId: "b",
		Payload: []byte(`{"title":"Go on","content":"popup/hot"}`),
	}))
	same(t, "the verdict", fmt.Sprint(v), fmt.Sprint(&schemas.Verdict{
		Id: v.Id, Tenant: "demo", User: "ann", Campaign: "hot", Version: a.Version, Verdict: Sent, MatchId: match, ActionId: a.Id, Channel: "popup",
		EventId: "b", EventIds: []string{"a", "b"}, EventTimeMs: now, DecidedMs: now,
		Detail:   []byte(fmt.Sprintf(`{"times":2,"within_ms":600000,"span_ms":60000,"expires_ms":%d}`, now+30_000)),
		SrcTopic: topics.Events.Name, SrcOffset: 1,
	}))
	if len(a.Version) != 12 || len(v.Id) != 32 {
		t.Errorf("version %q, id %q", a.Version, v.Id)
	}
}

func TestTenantsWithTheSameNamesDoNotTouchEachOther(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "one", hot(t))
	declareSource(t, r, "two", hot(t, "times: 3", "times: 4"))
	sent := map[string]string{}
	for i := range 4 {
		for _, tenant := range []string{"one", "two"} {
			post(r, bet(r, tenant, "ann", fmt.Sprint(i), "win"))
			for _, a := range proctest.Take(r, topics.Actions) {
				sent[a.Tenant] += fmt.Sprint(i)
				if a.Tenant != tenant || a.User != "ann" {
					t.Errorf("an event of %s sent %v", tenant, a)
				}
			}
		}
		r.Advance(time.Second)
	}
	same(t, "what was sent", sent, map[string]string{"one": "2", "two": "3"})
	ids := map[string]bool{}
	for _, v := range proctest.Take(r, topics.Verdicts) {
		if ids[v.Id] || ids[v.MatchId] {
			t.Errorf("an id of %v comes twice", v)
		}
		ids[v.Id], ids[v.MatchId] = true, true
	}

	// A tenant without the campaign has nothing of it, whatever its user is called.
	r.Retract(topics.Declarations.Name, "Campaign/one/hot")
	for i := range 3 {
		post(r, bet(r, "one", "ann", fmt.Sprint("x", i), "win"))
		post(r, bet(r, "three", "ann", fmt.Sprint("x", i), "win"))
	}
	if got := proctest.Take(r, topics.Actions); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
}

func TestRedeliveryChangesNothing(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t))
	var log []*schemas.Event
	for i := range 20 {
		e := bet(r, "demo", "ann", fmt.Sprint("e", i), []string{"win", "win", "win", "loss", "draw"}[i%5])
		log = append(log, e)
		post(r, e)
		r.Advance(time.Second)
	}
	facts, actions := len(r.TakeFacts(topics.Facts)), len(proctest.Take(r, topics.Actions))
	if facts != 20 || actions == 0 {
		t.Fatalf("%d facts, %d actions", facts, actions)
	}
	proctest.Take(r, topics.Verdicts)
	row := r.Row("demo/ann")
	for _, e := range log {
		post(r, e)
	}
	if !bytes.Equal(row, r.Row("demo/ann")) {
		t.Error("the row changed")
	}
	if n := len(r.TakeFacts(topics.Facts)) + len(proctest.Take(r, topics.Actions)); n > 0 {
		t.Errorf("%d facts and actions came again", n)
	}
	ids := map[string]bool{}
	for _, v := range proctest.Take(r, topics.Verdicts) {
		if v.Verdict != Duplicate || v.Campaign != "" || ids[v.Id] {
			t.Errorf("got %v", v)
		}
		ids[v.Id] = true
	}
	if len(ids) != len(log) {
		t.Errorf("%d of %d duplicates were reported", len(ids), len(log))
	}
}

func TestTheSameLogGivesTheSameIDs(t *testing.T) {
	tell := func() (ids []string) {
		r := proctest.New(t, Processor)
		declareSource(t, r, "demo", hot(t))
		for i := range 9 {
			post(r, bet(r, "demo", "ann", fmt.Sprint(i), "win"))
			r.Advance(time.Second)
		}
		for _, v := range proctest.Take(r, topics.Verdicts) {
			ids = append(ids, v.Id, v.MatchId, v.ActionId)
		}
		return ids
	}
	first := tell()
	if len(first) != 9 {
		t.Fatalf("%d ids", len(first))
	}
	same(t, "the second run", tell(), first)
}

// With skip_to_next one event may be the last of two matches; they are told apart.
func TestMatchesThatEndAlikeHaveTheirOwnIDs(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t, "skip_past_last", "skip_to_next", "allowed_lateness: 30s", "allowed_lateness: 5m"))
	at := func(id string, second int64) {
		e := bet(r, "demo", "ann", id, "win")
		e.TimeMs = proctest.Start.UnixMilli() + second*1000
		post(r, e)
	}
	at("a", 0)
	at("z", 60)
	at("b", 20)
	at("c", 30)
	got := proctest.Take(r, topics.Verdicts)
	if len(got) != 2 {
		t.Fatalf("%d verdicts: %v", len(got), got)
	}
	same(t, "the first match", got[0].EventIds, []string{"a", "b", "z"})
	same(t, "the second match", got[1].EventIds, []string{"b", "c", "z"})
	if got[0].MatchId == got[1].MatchId || got[0].Id == got[1].Id || got[0].ActionId == got[1].ActionId {
		t.Error("two matches share an id")
	}
}

func TestInvalidRecordsAreReportedAndCountNowhere(t *testing.T) {
	for name, c := range map[string]struct {
		key    string
		change func(*schemas.Event)
		want   string
	}{
		"another user":      {"demo/bob", func(*schemas.Event) {}, "key: "},
		"another tenant":    {"shop/ann", func(*schemas.Event) {}, "key: "},
		"no tenant":         {"ann", func(e *schemas.Event) { e.Tenant = "" }, "key: "},
		"a slash moved":     {"a/b/c", func(e *schemas.Event) { e.Tenant, e.UserId = "a/b", "c" }, "key: "},
		"no type":           {"demo/ann", func(e *schemas.Event) { e.Type = "" }, "type: "},
		"a long id":         {"demo/ann", func(e *schemas.Event) { e.Id = strings.Repeat("x", 10_000) }, "messageId: "},
		"before 1970":       {"demo/ann", func(e *schemas.Event) { e.TimeMs = -1 }, "time: "},
		"after all":         {"demo/ann", func(e *schemas.Event) { e.TimeMs = 1 << 62 }, "time: "},
		"a huge other user": {"demo/ann", func(e *schemas.Event) { e.UserId = strings.Repeat("x", 30_000) }, "key: "},
	} {
		r := proctest.New(t, Processor)
		declareSource(t, r, "demo", hot(t, "times: 3", "times: 1"))
		e := bet(r, "demo", "ann", "a", "win")
		c.change(e)
		proctest.Send(r, topics.Events, c.key, e)
		got := proctest.Take(r, topics.Verdicts)
		if len(got) != 1 || got[0].Verdict != Invalid || !bytes.Contains(got[0].Detail, []byte(c.want)) || len(got[0].EventId) > 256 || len(got[0].Detail) > 4000 {
			t.Errorf("%s: got %v", name, got)
			continue
		}
		if got[0].Tenant+"/"+got[0].User != c.key && got[0].User != c.key {
			t.Errorf("%s: the verdict is of %s/%s", name, got[0].Tenant, got[0].User)
		}
		if r.Row(c.key) != nil || len(r.TakeFacts(topics.Facts)) > 0 || len(proctest.Take(r, topics.Actions)) > 0 {
			t.Errorf("%s: left a row, a fact or an action", name)
		}
	}
}

func TestJSONWithoutIDAndTimesIsCompleted(t *testing.T) {
	r := proctest.New(t, Processor)
	r.Advance(time.Hour)
	if err := r.SendBytes(topics.Events.Name, "demo/ann", []byte(`{"tenant":"demo","userId":"ann","type":"track","event":"x"}`)); err != nil {
		t.Fatal(err)
	}
	now := r.Now().UnixMilli()
	got := r.TakeFacts(topics.Facts)
	if len(got) != 1 || got[0].EventID != "dwell.events.v1/0/0" || got[0].TimeMS != now || got[0].ReceivedMS != now {
		t.Errorf("got %+v", got)
	}
	if err := r.SendBytes(topics.Events.Name, "demo/ann", []byte(`{"type":`)); err == nil {
		t.Error("half a record was taken")
	}
}

func TestAClockFarAheadDoesNotMakeTheRestLate(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t))
	for i, ahead := range []time.Duration{0, 70 * 365 * 24 * time.Hour, 0} {
		e := bet(r, "demo", "ann", fmt.Sprint(i), "win")
		e.TimeMs += ahead.Milliseconds()
		post(r, e)
		r.Advance(time.Second)
	}
	got := proctest.Take(r, topics.Verdicts)
	if len(got) != 1 || got[0].Verdict != Sent {
		t.Errorf("got %v", got)
	}
}

func TestAnEventThatNoCampaignReadsIsCheap(t *testing.T) {
	c := processors.Call{Key: "demo/ann", NowMS: proctest.Start.UnixMilli(), Views: []any{fold(nil, "Campaign/demo/hot", &schemas.Declaration{Source: []byte(hot(t))}, false)}}
	e := bet(proctest.New(t, Processor), "demo", "ann", "", "win")
	e.Name, e.Properties = "other", []byte(`{"no": JSON at all`)
	value, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		c.At.Offset++
		c.Value, c.Out = value, c.Out[:0]
		if err := Processor.Step(0, &c); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * RecentIDs {
		step()
	}
	if len(c.Out) != 1 || c.Out[0].Topic != topics.Facts.Spec {
		t.Fatalf("got %v", c.Out)
	}
	// Ten at the time of writing: the record and its fields, the id from the coordinates, the fact.
	if n := testing.AllocsPerRun(1000, step); n > 13 {
		t.Errorf("%v allocations", n)
	}
}

func TestLateIsToldInTheCampaignsOwnNumbers(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t))
	post(r, bet(r, "demo", "ann", "a", "win"))
	e := bet(r, "demo", "ann", "b", "win")
	e.TimeMs -= 30_001
	post(r, e)
	got := proctest.Take(r, topics.Verdicts)
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	var d map[string]int64
	if err := json.Unmarshal(got[0].Detail, &d); err != nil {
		t.Fatal(err)
	}
	same(t, "the detail", d, map[string]int64{"highest_ms": proctest.Start.UnixMilli(), "late_by_ms": 30_001, "allowed_lateness_ms": 30_000})
	if got[0].EventTimeMs != e.TimeMs || got[0].MatchId != "" {
		t.Errorf("got %v", got[0])
	}
	if len(r.TakeFacts(topics.Facts)) != 2 {
		t.Error("a late event is no fact")
	}
}
