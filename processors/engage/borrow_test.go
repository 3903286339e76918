package engage

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const borrowed = `
apiVersion: dwell/v1
kind: Campaign
metadata: {name: %s}
spec:
  state: live
  trigger: {pattern: %s, within: 1h%s}
  response: {delay: 5m}
  channels: [{type: popup, title: Hello, content: popup/hello}]
`

// borrowedEvents touch all that a row keeps of an event: ids, texts, what is remembered, claimed and said.
func borrowedEvents() (all []*schemas.Event) {
	for i := range 12 {
		all = append(all, &schemas.Event{
			Type: "track", Name: fmt.Sprintf("step%d", i%3), Properties: fmt.Appendf(nil, `{"shop":"shop-%d","n":%d}`, i%2, i),
		})
	}
	all = append(all,
		&schemas.Event{Type: "identify", Name: "identify", AnonymousId: "cookie", Traits: []byte(`{"timezone":"Europe/London","country":"GB"}`)},
		&schemas.Event{Type: "alias", Name: "alias", PreviousId: "previous", AnonymousId: "another"},
		&schemas.Event{Type: "track", Name: "step1", Properties: []byte(`{"shop":"shop-9","n":3}`)})
	for i, e := range all {
		e.Id, e.Tenant, e.TimeMs, e.ReceivedMs = fmt.Sprintf("0b0e5e0c-0000-4000-8000-%012d", i), "demo", 1_700_000_000_000+int64(i)*1000, 1
	}
	return all
}

// keeps steps events of one user and returns the row; with spoil, each record's memory is written over when
// its step is over.
func keeps(t *testing.T, user func(*schemas.Event), spoil bool) string {
	t.Helper()
	var catalog *Catalog
	for name, trigger := range map[string][2]string{
		"count": {"{count: {event: step0, times: 3}}", ""}, "absence": {"{absence: {event: step1, not: {event: step2}}}", ""},
		"sequence": {"{sequence: [{event: step0}, {event: step2}]}", ""}, "split": {"{count: {event: step1, times: 9}}", ", correlate: event.shop"},
		"distinct": {`{aggregate: {event: step2, count_distinct: event.shop, is: "> 100"}}`, ""}, "all": {`{all_of: [{event: step0, where: 'event.shop == "shop-1"'}, {event: step1}]}`, ""},
	} {
		catalog = fold(catalog, "Campaign/demo/"+name, declaration(fmt.Sprintf(borrowed, name, trigger[0], trigger[1])), false)
	}
	catalog = fold(catalog, "Trait/demo/seen", &schemas.Declaration{Kind: "Trait", Tenant: "demo", Name: "seen", Version: "1", Source: []byte("apiVersion: dwell/v1\nkind: Trait\nmetadata: {name: seen}\nspec: {event: step2, compute: last, field: event.shop}\n")}, false)
	if f := catalog.Faults(); len(f) > 0 {
		t.Fatal(f[0].Err)
	}
	c := &processors.Call{Views: []any{catalog}}
	for i, e := range borrowedEvents() {
		user(e)
		value, err := topics.Events.Codec.Append(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		c.Key, c.NowMS, c.Value, c.Out = e.Key(), e.TimeMs, value, nil
		c.At = schemas.Coordinates{Topic: topics.Events.Name, Offset: int64(i)}
		if err := Processor.Step(0, c); err != nil {
			t.Fatal(err)
		}
		if spoil {
			copy(value, slices.Repeat([]byte("#"), len(value)))
		}
	}
	return processors.State[schemas.EngageRow](c.Row).String()
}

func TestARowKeepsNothingThatLiesInARecord(t *testing.T) {
	for name, user := range map[string]func(*schemas.Event){
		"a user":    func(e *schemas.Event) { e.UserId = "ann" },
		"anonymous": func(e *schemas.Event) { e.UserId, e.AnonymousId = "", "ann" },
	} {
		clean := keeps(t, user, false)
		if got := keeps(t, user, true); got != clean {
			t.Errorf("%s: once the records are gone the row says\n%s, not\n%s", name, got, clean)
		}
		if len(clean) < 500 {
			t.Errorf("%s: the row says only %s", name, clean)
		}
	}
}

func TestFactsOfManyStepsStayWhatTheyAre(t *testing.T) {
	c := &processors.Call{Views: []any{(*Catalog)(nil)}}
	var facts []*schemas.Fact
	for i := range 100 {
		e := &schemas.Event{Id: fmt.Sprint("id-", i), Tenant: "demo", UserId: "ann", Type: "track", Name: fmt.Sprint("name-", i), TimeMs: int64(1 + i), Path: fmt.Sprint("/", i)}
		value, err := topics.Events.Codec.Append(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		c.Key, c.NowMS, c.Value, c.Out = e.Key(), e.TimeMs, value, nil
		if err := Processor.Step(0, c); err != nil {
			t.Fatal(err)
		}
		facts = append(facts, c.Out[0].Item.(*schemas.Fact))
	}
	for i, f := range facts {
		same(t, "a fact", [4]string{f.EventID, f.Name, f.Path, f.Source}, [4]string{fmt.Sprint("id-", i), fmt.Sprint("name-", i), fmt.Sprint("/", i), ""})
	}
}

func TestAnEventLeavesNothingForTheNext(t *testing.T) {
	c := &processors.Call{Views: []any{(*Catalog)(nil)}}
	for i, e := range []*schemas.Event{
		{Id: "a", Tenant: "demo", UserId: "ann", Type: "track", Name: "bet", TimeMs: 5, Path: "/a", Referrer: "/r", UserAgent: "u", Address: "1.2.3.0", Source: "s", Properties: []byte(`{"a":1}`)},
		{Tenant: "demo", AnonymousId: "bob", Type: "track", Name: "page"},
	} {
		value, err := topics.Events.Codec.Append(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		c.Key, c.NowMS, c.Value, c.Row, c.Out = e.Key(), 7, value, nil, nil
		c.At = schemas.Coordinates{Topic: "t", Offset: int64(i)}
		if err := Processor.Step(0, c); err != nil {
			t.Fatal(err)
		}
	}
	want := schemas.Fact{EventID: "t/0/1", Tenant: "demo", User: "~bob", Type: "track", Name: "page", TimeMS: 7, ReceivedMS: 7, N: 1, At: c.At}
	same(t, "the second fact", *c.Out[0].Item.(*schemas.Fact), want)
}
