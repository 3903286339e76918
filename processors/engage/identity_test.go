package engage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// joined are campaigns of every kind, with room for what is late.
const joined = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: count}
spec:
  state: live
  trigger: {pattern: {count: {event: bet, where: 'event.n >= 1', times: 3}}, until: [{event: loss}], within: 60s, allowed_lateness: LATE}
  reentry: {mode: cooldown, every: 5s}
  caps: [{scope: campaign, max: 4, per: 10m}]
  channels: [{type: popup, content: popup/a}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: journey}
spec:
  state: live
  trigger: {pattern: {sequence: [{event: view}, {event: bet, where: 'event.n == 2'}, {event: view}]}, within: 60s, after_match: skip_to_next, allowed_lateness: LATE}
  channels: [{type: popup, content: popup/b}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: sums}
spec:
  state: live
  trigger: {pattern: {aggregate: {event: bet, sum: event.n, is: "> 6"}}, within: 30s, allowed_lateness: LATE}
  channels: [{type: popup, content: popup/c}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: carts}
spec:
  state: live
  trigger: {pattern: {count: {event: add, times: 3}}, correlate: event.cart, within: 60s, allowed_lateness: LATE}
  channels: [{type: popup, content: popup/d}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: gold}
spec:
  state: live
  trigger: {pattern: {count: {event: view, where: 'user.plan == "gold"', times: 4}}, within: 60s, allowed_lateness: LATE}
  channels: [{type: popup, content: popup/e}]
`

// world runs the Decider over rows with a mailbox for each key, so that what one row says to another may
// be under way while other records come.
type world struct {
	t     *testing.T
	def   *processors.Def
	views []any
	rows  map[string][]byte
	boxes map[string][]processors.Emission
	next  int64
	nowMS int64
	// verdicts by tenant and facts by user, in order; matched counts verdicts on matches.
	verdicts map[string][]string
	facts    map[string][]string
	matched  int
}

func newWorld(t *testing.T, views []any) *world {
	return &world{t: t, def: Processor, views: views, rows: map[string][]byte{}, boxes: map[string][]processors.Emission{}, verdicts: map[string][]string{}, facts: map[string][]string{}}
}

// declaredViews are the campaigns with a lateness, for two tenants.
func declaredViews(t *testing.T, late string) []any {
	t.Helper()
	source := strings.ReplaceAll(joined, "LATE", late)
	var views []any
	for _, v := range Processor.Whole {
		views = append(views, v.Zero())
	}
	all, err := campaign.Parse("world.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"one", "two"} {
		for _, c := range all {
			b, err := topics.Declarations.Codec.Append(nil, &schemas.Declaration{Kind: Kind, Tenant: tenant, Name: c.Name, Version: c.Version, Source: c.Source})
			if err != nil {
				t.Fatal(err)
			}
			if views[0], err = Processor.Whole[0].Fold(views[0], Kind+"/"+tenant+"/"+c.Name, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return views
}

func (w *world) send(topic, key string, ms int64, value []byte) {
	w.t.Helper()
	i := slices.IndexFunc(w.def.Inputs, func(s *topics.Spec) bool { return s.Name == topic })
	w.next++
	c := &processors.Call{Key: key, NowMS: ms, At: schemas.Coordinates{Topic: topic, Offset: w.next}, Value: value, Views: w.views}
	if b := w.rows[key]; b != nil {
		var err error
		if c.Row, err = w.def.DecodeRow(b); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.def.Step(i, c); err != nil {
		w.t.Fatal(err)
	}
	if c.Changed {
		delete(w.rows, key)
		if c.Row != nil {
			b, err := w.def.AppendRow(nil, c.Row)
			if err != nil {
				w.t.Fatal(err)
			}
			w.rows[key] = b
		}
	}
	for _, e := range c.Out {
		switch e.Topic {
		case topics.Identities.Spec:
			w.boxes[e.Key] = append(w.boxes[e.Key], e)
		case topics.Facts.Spec:
			f := e.Item.(*schemas.Fact)
			who := f.Tenant + "/" + f.User
			w.facts[who] = append(w.facts[who], f.EventID)
		case topics.Verdicts.Spec:
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			w.verdicts[v.Tenant] = append(w.verdicts[v.Tenant], fmt.Sprint(v.Verdict, " ", v.Campaign, " ", v.MatchId, " ", v.EventIds, " ", v.EventTimeMs))
			if v.MatchId != "" {
				w.matched++
			}
		}
	}
}

// deliver steps the first message of a mailbox; false: all are empty.
func (w *world) deliver(r *rand.Rand) bool {
	var keys []string
	for k, box := range w.boxes {
		if len(box) > 0 {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return false
	}
	slices.Sort(keys)
	k := keys[r.IntN(len(keys))]
	e := w.boxes[k][0]
	w.boxes[k] = w.boxes[k][1:]
	w.send(e.Topic.Name, k, e.TimeMS, e.Value)
	return true
}

func (w *world) post(e *schemas.Event) {
	b, err := topics.Events.Codec.Append(nil, e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(topics.Events.Name, e.Key(), e.ReceivedMs, b)
}

// people is a random log: events of two tenants' users, each with devices of which some say nothing but
// an anonymous id until, and after, an identify call names both.
type people struct {
	late   string
	delays bool
	events []*schemas.Event
}

func randomPeople(r *rand.Rand) *people {
	p := &people{late: "0s"}
	devices := 1
	if r.IntN(2) == 0 { // several devices, or messages under way: room for what is late
		p.late, p.delays, devices = "1h", r.IntN(2) == 0, 1+r.IntN(3)
	}
	ms := proctest.Start.UnixMilli()
	for _, tenant := range []string{"one", "two"} { // what is known of her is known from the start
		p.events = append(p.events, &schemas.Event{
			Id: "gold", Tenant: tenant, UserId: "ann", Type: "identify", Name: "identify", TimeMs: ms, ReceivedMs: ms, Traits: []byte(`{"plan":"gold"}`),
		})
	}
	known := map[string]bool{}
	var sent []*schemas.Event
	n := 8 + r.IntN(24)
	claimBy := r.IntN(n)
	for i := range n {
		ms += int64(1 + r.IntN(4000))
		e := &schemas.Event{Id: "e" + strconv.Itoa(i), Tenant: pick(r, "one", "two"), Type: "track", TimeMs: ms, ReceivedMs: ms}
		device := 0
		if devices > 1 {
			device = r.IntN(devices + 1)
		}
		key := fmt.Sprint(e.Tenant, device)
		if e.AnonymousId = "device" + strconv.Itoa(device); device == devices {
			e.UserId, e.AnonymousId = "ann", "" // her own, from the start
		} else if known[key] && r.IntN(2) == 0 {
			e.UserId = "ann"
		}
		e.Name = pick(r, "bet", "bet", "view", "add")
		e.Properties = []byte(fmt.Sprintf(`{"n": %d, "cart": "c%d"}`, r.IntN(4), r.IntN(2)))
		if devices == 1 && !p.delays && r.IntN(8) == 0 { // a reset may overtake a hand-over
			e.Name = "loss"
		}
		if e.AnonymousId != "" && !known[key] && (i >= claimBy || r.IntN(12) == 0) {
			known[key] = true
			e.Type, e.Name, e.Properties, e.UserId = "identify", "identify", nil, "ann"
		} else if len(sent) > 0 && r.IntN(6) == 0 { // once more
			again := sent[r.IntN(len(sent))]
			if was := fmt.Sprint(again.Tenant, strings.TrimPrefix(again.AnonymousId, "device")); known[was] || again.AnonymousId == "" {
				ms++
				twice := clone(again)
				twice.ReceivedMs = ms
				p.events = append(p.events, twice)
			}
		}
		p.events = append(p.events, e)
		sent = append(sent, e)
	}
	return p
}

func isClaim(e *schemas.Event) bool { return e.Type == "identify" && e.AnonymousId != "" }

// run runs the log: as it is or, for whole, as if every event had said whose it is. ok is false when
// something matched before the last claim was through, for which no promise is made.
func (p *people) run(t *testing.T, r *rand.Rand, views []any, whole bool) (w *world, ok bool) {
	w = newWorld(t, views)
	left, settled, hers := 0, false, map[string]bool{}
	for _, e := range p.events {
		if isClaim(e) {
			left++
			hers[e.Tenant+e.AnonymousId] = true
		}
	}
	for _, e := range p.events {
		e = clone(e)
		if whole && hers[e.Tenant+e.AnonymousId] {
			e.UserId, e.AnonymousId = "ann", ""
		}
		w.post(e)
		early := !whole && (left > 0 || p.delays && !settled) && w.matched > 0
		if isClaim(e) {
			left--
		}
		for !p.delays || left == 0 || r.IntN(3) == 0 {
			if !w.deliver(r) {
				settled = left == 0
				break
			}
			early = early || !whole && (left > 0 || p.delays && !settled) && w.matched > 0
		}
		if early {
			return w, false
		}
	}
	return w, true
}

func TestAClaimedHistoryCountsAsIfItHadBeenTheUsersFromTheStart(t *testing.T) {
	n := seedtest.Draw(t)
	views := map[string][]any{"0s": declaredViews(t, "0s"), "1h": declaredViews(t, "1h")}
	ran, matched := 0, 0
	for i := range uint64(3000) {
		r := rand.New(rand.NewPCG(n, i))
		p := randomPeople(r)
		got, ok := p.run(t, r, views[p.late], false)
		if !ok {
			continue
		}
		want, _ := p.run(t, r, views[p.late], true)
		ran++
		matched += want.matched
		for _, who := range []string{"one", "two"} {
			// Two matches of one moment may be told in another order.
			slices.Sort(got.verdicts[who])
			slices.Sort(want.verdicts[who])
			if !reflect.DeepEqual(got.verdicts[who], want.verdicts[who]) {
				text := ""
				for _, e := range p.events {
					text += fmt.Sprintln(e)
				}
				t.Fatalf("case %d, lateness %s, delays %v: %s got\n%s\nwant\n%s\n%s", i, p.late, p.delays, who,
					strings.Join(got.verdicts[who], "\n"), strings.Join(want.verdicts[who], "\n"), text)
			}
		}
		once(t, got, want)
	}
	if ran < 1000 || matched < 1000 {
		t.Errorf("%d cases make a promise, with %d matches: they prove little", ran, matched)
	}
}

// once checks that every event is a fact once, and after the claims the user's.
func once(t *testing.T, got, want *world) {
	t.Helper()
	count := func(w *world) map[string]int {
		n := map[string]int{}
		for who, ids := range w.facts {
			tenant, _ := schemas.SplitKey(who)
			for _, id := range ids {
				n[tenant+"/"+id]++
			}
		}
		return n
	}
	if a, b := count(got), count(want); !reflect.DeepEqual(a, b) {
		t.Fatalf("facts are %v, want %v", a, b)
	}
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// A claim, a hand-over and a forwarded record that come again change nothing.
func TestAHandOverThatComesAgainIsHarmless(t *testing.T) {
	w := newWorld(t, declaredViews(t, "30s"))
	r := rand.New(rand.NewPCG(1, 1))
	var said []processors.Emission
	ms := proctest.Start.UnixMilli()
	post := func(id, typ, user string) {
		ms += 1000
		w.post(&schemas.Event{Id: id, Tenant: "one", UserId: user, AnonymousId: "phone", Type: typ, Name: map[string]string{"track": "bet", "identify": "identify"}[typ], TimeMs: ms, ReceivedMs: ms, Properties: []byte(`{"n":1}`)})
		for {
			for _, box := range w.boxes {
				said = append(said, box...)
			}
			if !w.deliver(r) {
				return
			}
		}
	}
	post("a", "track", "")
	post("b", "track", "")
	post("i", "identify", "ann")
	post("c", "track", "")
	before, verdicts, facts := w.rows["one/ann"], slices.Clone(w.verdicts["one"]), len(w.facts["one/ann"])
	if len(said) < 3 || w.matched != 1 || facts != 2 {
		t.Fatalf("%d messages, %d matches, facts %v", len(said), w.matched, w.facts)
	}
	for _, e := range said {
		w.send(e.Topic.Name, e.Key, e.TimeMS, e.Value)
		for w.deliver(r) {
		}
	}
	for _, v := range w.verdicts["one"][len(verdicts):] {
		if !strings.HasPrefix(v, Duplicate) {
			t.Errorf("a message that came again led to %s", v)
		}
	}
	if !bytes.Equal(w.rows["one/ann"], before) || len(w.facts["one/ann"]) != facts {
		a, _ := w.def.DecodeRow(before)
		b, _ := w.def.DecodeRow(w.rows["one/ann"])
		t.Errorf("the row was\n%v\nand is\n%v", processors.State[schemas.EngageRow](a), processors.State[schemas.EngageRow](b))
	}
}

func clone(e *schemas.Event) *schemas.Event { return proto.Clone(e).(*schemas.Event) }
