package engage

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const relevance = `
apiVersion: dwell/v1
kind: Campaign
metadata: {name: %s}
spec:
  state: live
  trigger: {pattern: {count: {event: bet, where: 'event.of.amount > 10', times: 1}}}
  response: {%s}
  conversion: {events: [{event: deposit, within: 24h}]}
  channels: [{type: popup, title: Hello, content: popup/hello}]
`

// relevanceCatalog has a campaign that waits, one that does not, and a trait that reads pages.
func relevanceCatalog(t testing.TB) *Catalog {
	t.Helper()
	c := fold(nil, "Campaign/demo/waits", declaration(fmt.Sprintf(relevance, "waits", "delay: 1h, cancel_on: [{event: refund, where: 'event.of.amount > 10'}]")), false)
	c = fold(c, "Campaign/demo/sends", declaration(fmt.Sprintf(relevance, "sends", "expire_after: 1h")), false)
	c = fold(c, "Trait/demo/pages", &schemas.Declaration{Kind: "Trait", Tenant: "demo", Name: "pages", Version: "1", Source: []byte("apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: pages}\nspec: {event: page, compute: count, over: 7d}\n")}, false)
	if f := c.Faults(); len(f) > 0 {
		t.Fatal(f[0].Err)
	}
	return c
}

// relevanceUser steps the events of one user of the catalog.
type relevanceUser struct {
	t    testing.TB
	call *processors.Call
	n    int
}

// newRelevanceUser has a response that waits and a match that may convert.
func newRelevanceUser(t testing.TB) *relevanceUser {
	t.Helper()
	u := &relevanceUser{t: t, call: &processors.Call{Views: []any{relevanceCatalog(t)}, Counted: make([]int64, Processor.Counts())}}
	u.step(u.event("bet", `{"of":{"amount":20}}`))
	if g := processors.State[schemas.EngageRow](u.call.Row).Gates; len(g.GetPending()) != 1 || len(g.GetAwaited()) != 1 {
		t.Fatalf("what waits is %v", g)
	}
	clear(u.call.Counted)
	return u
}

// event is a record; a name of identify or alias is a call of that type.
func (u *relevanceUser) event(name, properties string) []byte {
	u.t.Helper()
	u.n++
	e := &schemas.Event{Id: fmt.Sprint("e", u.n), Tenant: "demo", UserId: "ann", Type: "track", Name: name, TimeMs: 1_700_000_000_000 + int64(u.n), Properties: []byte(properties)}
	if name == "identify" || name == "alias" {
		e.Type = name
	}
	b, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		u.t.Fatal(err)
	}
	return b
}

func (u *relevanceUser) step(value []byte) {
	u.call.Key, u.call.NowMS, u.call.Value, u.call.Out = "demo/ann", 1_700_000_000_000+int64(u.n), value, u.call.Out[:0]
	if err := Processor.Step(0, u.call); err != nil {
		u.t.Fatal(err)
	}
}

// allocations of a step of an event, on average over many.
func (u *relevanceUser) allocations(name, properties string) float64 {
	u.t.Helper()
	const runs = 400
	var all [][]byte
	for range runs + 1 {
		all = append(all, u.event(name, properties))
	}
	return testing.AllocsPerRun(runs, func() {
		u.step(all[0])
		all = all[1:]
	})
}

func TestPropertiesOfAnEventThatNothingReadsStayBytes(t *testing.T) {
	nested := `{"of":{"amount":1},"items":[` + strings.Repeat(`{"sku":"a","tags":["x","y"]},`, 100) + `{}]}`
	plain, rich := newRelevanceUser(t).allocations("scroll", `{}`), newRelevanceUser(t).allocations("scroll", nested)
	if plain != rich {
		t.Errorf("an event that nothing reads costs %v allocations, %v with properties", plain, rich)
	}
	for _, name := range []string{"bet", "refund"} { // what decoding costs, so that the above means something
		if read := newRelevanceUser(t).allocations(name, nested); read < rich+10 {
			t.Errorf("a %s that is read costs %v allocations, one that nothing reads %v", name, read, rich)
		}
	}
	u := newRelevanceUser(t)
	u.step(u.event("scroll", nested))
	if len(u.call.Out) != 1 || u.call.Out[0].Topic != topics.Facts.Spec {
		t.Errorf("an event that nothing reads leaves %v", u.call.Out)
	}
}

func TestEventsAreCountedByWhetherSomethingReadsThem(t *testing.T) {
	for name, read := range map[string]bool{
		"bet": true, "page": true, "refund": true, "deposit": true, "identify": true, "alias": true, "scroll": false, "Bet": false, "": false,
	} {
		u := newRelevanceUser(t)
		if name == "" { // an invalid event is none
			u.step(u.event("", "{}"))
			same(t, "what was counted of an invalid event", u.call.Counted[:2], []int64{0, 0})
			continue
		}
		record := u.event(name, `{"of":{"amount":1}}`)
		u.step(record)
		u.step(record) // a duplicate
		want := []int64{1, 0}
		if read {
			want = []int64{0, 1}
		}
		same(t, "what was counted of "+name, u.call.Counted[:2], want)
	}

	// Nobody waits for a refund or a deposit of another user, or of this one once all that is over.
	u := newRelevanceUser(t)
	u.call.Row = nil
	u.step(u.event("refund", "{}"))
	u.step(u.event("deposit", "{}"))
	same(t, "what was counted of a new user", u.call.Counted[:2], []int64{2, 0})
	u.call.Views = []any{(*Catalog)(nil)}
	u.step(u.event("bet", "{}"))
	same(t, "what was counted without declarations", u.call.Counted[:2], []int64{3, 0})
}

func TestEveryVerdictIsCountedUnderItsName(t *testing.T) {
	u := newRelevanceUser(t)
	of := func(verdict string) int64 {
		for i, v := range spoken.Values {
			if v == verdict {
				return u.call.Counted[len(counted.Values)+i]
			}
		}
		t.Fatalf("%s is not counted", verdict)
		return 0
	}
	record := u.event("bet", `{"of":{"amount":20}}`)
	u.step(record)
	u.step(record)
	u.step(u.event("deposit", "{}"))
	u.step(u.event("refund", `{"of":{"amount":20}}`))
	for verdict, want := range map[string]int64{Sent: 1, Delay: 1, Duplicate: 1, Converted: 2, Cancelled: 2, Reentry: 0, Invalid: 0} {
		if got := of(verdict); got != want {
			t.Errorf("%d of %s were counted, want %d", got, verdict, want)
		}
	}
	seen := map[string]bool{}
	for _, v := range spoken.Values {
		if v == "" || seen[v] {
			t.Errorf("%q is in the list of verdicts twice, or has no name", v)
		}
		seen[v] = true
	}
}

// upper is how verdicts are written.
var upper = regexp.MustCompile(`\b[A-Z]{3,}\b`)

// Every constant of a verdict in this package is in the list, and the list in the record's comment and the guide.
func TestEveryVerdictIsListedAndDocumented(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	found := map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([A-Z]{3,})"`).FindAllSubmatch(b, -1) {
			if !strings.HasSuffix(name, "_test.go") && string(m[1]) != "UTC" {
				found[string(m[1])] = true
			}
		}
	}
	all := map[string]bool{}
	for _, v := range Verdicts() {
		all[v] = true
	}
	same(t, "the list", all, found)

	proto, err := os.ReadFile("../../schemas/decision.proto")
	if err != nil {
		t.Fatal(err)
	}
	_, comment, _ := strings.Cut(string(proto), "// verdict is one of\n")
	comment, _, _ = strings.Cut(comment, "string verdict = 6;")
	said := map[string]bool{}
	for _, v := range upper.FindAllString(comment, -1) {
		said[v] = true
	}
	same(t, "the comment of Verdict.verdict", said, all)

	guide, err := os.ReadFile("../../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "| verdict | means |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	said = map[string]bool{}
	for row := range strings.Lines(table) {
		for _, v := range upper.FindAllString(strings.Split(row, "|")[1], -1) {
			said[v] = true
		}
	}
	same(t, "the table in docs/campaigns.md", said, all)
}
