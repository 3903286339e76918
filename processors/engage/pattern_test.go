package engage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// file is a campaign of the stories with words replaced.
func file(t testing.TB, name string, changes ...string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/campaigns/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(s, changes[i]) {
			t.Fatalf("%q is not in %s", changes[i], name)
		}
	}
	return strings.NewReplacer(changes...).Replace(s)
}

// told are the verdicts that came, by id order of their users' time: user, verdict and events.
func told(r *proctest.Run, user func(*schemas.Verdict) string) (all []string) {
	for _, v := range proctest.Take(r, topics.Verdicts) {
		if v.Verdict != Duplicate {
			all = append(all, fmt.Sprint(r.Now().UnixMilli(), user(v), v.Verdict, v.EventIds, v.EventTimeMs))
		}
	}
	slices.Sort(all)
	return all
}

// The values of a correlate field are to each other as users are: whatever the pattern, one user
// with many values is told the same as many users with one each. Nothing is late here, as late goes
// by the newest event of all values.
func TestTheValuesOfAFieldAreAsUsersOfTheirOwn(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	patterns := []string{
		`count: {event: a, times: 2}`,
		`sequence: [{event: a}, {event: b}]`,
		`all_of: [{event: a}, {event: b}, {event: a, where: 'event.n > 2'}]`,
		`aggregate: {event: a, sum: event.n, is: '> 5'}`,
		`aggregate: {event: a, count_distinct: event.n, is: '>= 2'}`,
		`absence: {event: a, not: {event: b}, restart: true}`,
		`absence: {event: a, not: {event: b}}`,
	}
	seen := map[string]int{}
	for range 200 {
		pattern := patterns[r.IntN(len(patterns))]
		changes := []string{`sequence: [{event: view}, {event: add}, {event: checkout}]`, pattern, "until: [{event: logout}]", "until: [{event: u}]", "within: 15m", "within: 5s", "allowed_lateness: 30s", "allowed_lateness: 40s"}
		if !strings.HasPrefix(pattern, "sequence") && !strings.HasPrefix(pattern, "count") || r.IntN(2) == 0 {
			changes = append(changes, "contiguity: strict", "contiguity: relaxed")
		}
		if strings.HasPrefix(pattern, "sequence") && r.IntN(2) == 0 {
			changes = append(changes, "  reentry:", "    after_match: skip_to_next\n  reentry:")
		}
		apart, together := proctest.New(t, Processor), proctest.New(t, Processor)
		declareSource(t, apart, "demo", file(t, "strict", changes...))
		declareSource(t, together, "demo", strings.Replace(file(t, "strict", changes...), "    within", "    correlate: event.v\n    within", 1))
		for i := range 30 {
			e := &schemas.Event{Id: fmt.Sprint("e", r.IntN(30)), Tenant: "demo", Type: "track", Name: []string{"a", "a", "b", "u", "x"}[r.IntN(5)]}
			now := apart.Now()
			e.TimeMs, e.ReceivedMs = now.Add(-time.Duration(r.IntN(3)*r.IntN(4))*time.Second).UnixMilli(), now.UnixMilli()
			v, n := r.IntN(4), r.IntN(5)
			e.Properties = fmt.Appendf(nil, `{"v":%d,"n":%d}`, v, n)
			e.Id += fmt.Sprint("v", v) // ids are a user's own
			e.UserId = fmt.Sprint("u", v)
			post(apart, e)
			e.UserId = "ann"
			post(together, e)
			step := time.Duration(r.IntN(2000)) * time.Millisecond
			if i == 29 {
				step = 200 * time.Second
			}
			apart.Advance(step)
			together.Advance(step)
			want := told(apart, func(v *schemas.Verdict) string { return v.User })
			got := told(together, func(v *schemas.Verdict) string {
				if len(v.EventIds) == 0 {
					return "none"
				}
				_, u, _ := strings.Cut(v.EventIds[0], "v")
				return "u" + u
			})
			if !slices.Equal(got, want) {
				t.Fatalf("%s\n%v\nafter %v\ngot  %q\nwant %q", pattern, changes, e, got, want)
			}
			seen[strings.Fields(pattern)[0]] += len(got)
		}
	}
	for _, p := range patterns {
		if name := strings.Fields(p)[0]; seen[name] < 10 {
			t.Errorf("only %d verdicts of %s: the cases prove little", seen[name], name)
		}
	}
}

func TestTheValueLongestUnseenMakesRoom(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", file(t, "carts"))
	add := func(name, cart string) {
		now := r.Now().UnixMilli()
		post(r, &schemas.Event{Id: name + cart[:min(len(cart), 9)], Tenant: "demo", UserId: "ann", Type: "track", Name: name, TimeMs: now, ReceivedMs: now, Properties: fmt.Appendf(nil, `{"cart_id":%q}`, cart)})
		r.Advance(time.Second)
	}
	for i := range MaxParts {
		add("cart_add", fmt.Sprint(i))
	}
	add("purchase", "0") // seen again, and of no use
	if got := proctest.Take(r, topics.Verdicts); len(got) > 0 {
		t.Fatalf("got %v", got)
	}
	long := strings.Repeat("x", 1000)
	add("cart_add", long)
	got := proctest.Take(r, topics.Verdicts)
	if len(got) != 1 || got[0].Verdict != Dropped || got[0].Campaign != "carts" || string(got[0].Detail) != `{"value":"\"1\"","held":1}` {
		t.Fatalf("got %v", got)
	}
	r.Advance(time.Hour)
	cart := map[string]int{}
	for _, v := range proctest.Take(r, topics.Verdicts) {
		cart[v.EventIds[0]]++
	}
	if len(cart) != MaxParts-1 || cart["cart_add0"]+cart["cart_add1"] > 0 || cart["cart_add"+long[:9]] != 1 {
		t.Errorf("%d carts were left behind: %v", len(cart), cart)
	}
	if n := len(r.Row("demo/ann")); n > 8<<10 {
		t.Errorf("the row has %d bytes", n)
	}
	// All of them are over: 64 new ones need no verdict.
	for i := range MaxParts {
		add("cart_add", fmt.Sprint("new", i))
	}
	if got := proctest.Take(r, topics.Verdicts); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestARowOfManyValuesStaysWithinItsLimit(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", file(t, "strict", "contiguity: strict", "correlate: event.v", "within: 15m", "within: 300d", "allowed_lateness: 30s", "allowed_lateness: 300d"))
	for i := range 800 {
		now := r.Now().UnixMilli()
		post(r, &schemas.Event{
			Id: fmt.Sprintf("%0250d", i), Tenant: "demo", UserId: "ann", Type: "track", Name: "view", TimeMs: now, ReceivedMs: now,
			Properties: fmt.Appendf(nil, `{"v":%d}`, i%40),
		})
	}
	if n := len(r.Row("demo/ann")); n < maxEntryBytes/2 || n > maxEntryBytes+32<<10 {
		t.Errorf("the row has %d bytes", n)
	}
}

// patternRow is the row of testdata/row_patterns.hex.
func patternRow() *schemas.EngageRow {
	return &schemas.EngageRow{Triggers: []*schemas.TriggerRow{
		{Campaign: "cart", Pattern: 1, EventIds: []string{"a", "b"}, EventTimesMs: []int64{5, 7}, EventSteps: []uint32{1, 2}, EventNumbers: []float64{1767225600001, 0}, DueMs: 1767225600001, HighestMs: 7},
		{Campaign: "carts", Pattern: 2, HighestMs: 9, FloorMs: 3, DueMs: 11, Parts: []*schemas.TriggerPart{
			{Value: `"x"`, FloorMs: 4},
			{Value: "7", EventIds: []string{"c"}, EventTimesMs: []int64{9}, EventSteps: []uint32{1 << 16}, EventNumbers: []float64{-0.5}, FloorMs: 8, DueMs: 11},
		}},
	}}
}

func TestStoredPatternsDecodeForEver(t *testing.T) {
	_, got := stored(t, "row_patterns.hex", patternRow())
	storedAgain(t, got)
}

func TestPatternsThatNoStepLeftAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(cart *schemas.TriggerRow, part *schemas.TriggerPart){
		"a step too few":         func(c *schemas.TriggerRow, _ *schemas.TriggerPart) { c.EventSteps = c.EventSteps[1:] },
		"a number too many":      func(c *schemas.TriggerRow, _ *schemas.TriggerPart) { c.EventNumbers = append(c.EventNumbers, 1) },
		"a part's time too few":  func(_ *schemas.TriggerRow, p *schemas.TriggerPart) { p.EventTimesMs = nil },
		"a part's step too many": func(_ *schemas.TriggerRow, p *schemas.TriggerPart) { p.EventSteps = append(p.EventSteps, 1) },
		"a part's times in chaos": func(_ *schemas.TriggerRow, p *schemas.TriggerPart) {
			*p = schemas.TriggerPart{EventIds: []string{"a", "b"}, EventTimesMs: []int64{2, 1}}
		},
		"too many parts": func(c *schemas.TriggerRow, p *schemas.TriggerPart) {
			for range MaxParts + 1 {
				c.Parts = append(c.Parts, p)
			}
		},
	} {
		r := patternRow()
		spoil(r.Triggers[0], r.Triggers[1].Parts[1])
		b, err := rowCodec{}.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (rowCodec{}).Decode(b); !errors.Is(err, schemas.ErrUndecodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A row whose lists do not go with the pattern, whatever left it so, starts over instead of stopping
// the worker.
func TestAStateOfAnotherShapeStartsOver(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", file(t, "journey"))
	view := &schemas.Event{Id: "v", Tenant: "demo", UserId: "ann", Type: "track", Name: "view", TimeMs: r.Now().UnixMilli()}
	post(r, view)
	catalog := fold(nil, "Campaign/demo/journey", declaration(file(t, "journey")), false)
	c := catalog.Campaign("demo", "journey")
	row := &schemas.EngageRow{Triggers: []*schemas.TriggerRow{{Campaign: "journey", Pattern: c.PatternHash, EventIds: []string{"x"}, EventTimesMs: []int64{view.TimeMs}}}}
	p, _ := progress(&turn{State: row}, &reader{campaign: c, machine: c.Trigger.Machine()})
	if len(p.EventIds) != 0 || p.HighestMs != 0 {
		t.Errorf("kept %v", p)
	}
}
