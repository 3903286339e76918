package engage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// rule is a campaign as the search knows it; seconds throughout.
type rule struct {
	name                           string
	times, within, lateness, every int
	next, once                     bool
	slot                           string
	priority                       int
}

func (r rule) source(t *testing.T) string {
	mode := "{mode: always}"
	if r.once {
		mode = "{mode: once}"
	} else if r.every > 0 {
		mode = fmt.Sprintf("{mode: cooldown, every: %ds}", r.every)
	}
	after := "skip_past_last"
	if r.next {
		after = "skip_to_next"
	}
	return hot(t, "name: hot", "name: "+r.name, "times: 3", fmt.Sprint("times: ", r.times), "within: 10m", fmt.Sprintf("within: %ds", r.within),
		"allowed_lateness: 30s", fmt.Sprintf("allowed_lateness: %ds", r.lateness), "skip_past_last", after, "{mode: always}", mode,
		"slot: page_popup", "slot: '"+r.slot+"'", "priority: 20", fmt.Sprint("priority: ", r.priority))
}

// happening is one record: an id, when it happened, and whether it is a win or a loss.
type happening struct {
	id   string
	at   int
	loss bool
}

// search tells what must come of a log, by looking at all of it for every record: "VERDICT name
// ids". It knows nothing of rows, entries or floors.
func search(rules []rule, log []happening) (all []string) {
	type point struct {
		happening
		n    int
		used bool
	}
	known := map[string]bool{}
	taken, resets, points := map[string][]int{}, map[string][]int{}, map[string][]*point{}
	sent := map[string][]int{}
	for n, h := range log {
		if known[h.id] {
			all = append(all, "DUPLICATE")
			continue
		}
		known[h.id] = true
		holder := map[string]string{}
		var gated, last []string
		for _, r := range rules {
			if len(taken[r.name]) > 0 && h.at+r.lateness < slices.Max(taken[r.name]) {
				gated = append(gated, "LATE "+r.name)
				continue
			}
			taken[r.name] = append(taken[r.name], h.at)
			if h.loss {
				resets[r.name] = append(resets[r.name], h.at)
				points[r.name] = slices.DeleteFunc(points[r.name], func(p *point) bool { return !p.used && p.at <= h.at })
				continue
			}
			after := func(at int) bool { return at > h.at }
			if slices.ContainsFunc(resets[r.name], after) || slices.ContainsFunc(points[r.name], func(p *point) bool { return p.used && after(p.at) }) {
				continue
			}
			points[r.name] = append(points[r.name], &point{happening: h, n: n})
			var open []*point
			for _, p := range points[r.name] {
				if !p.used {
					open = append(open, p)
				}
			}
			sort.Slice(open, func(i, j int) bool {
				return open[i].at < open[j].at || open[i].at == open[j].at && open[i].n < open[j].n
			})
			for i := range max(0, len(open)-r.times+1) {
				w := open[i : i+r.times]
				end := w[r.times-1].at
				if end-w[0].at > r.within || !slices.ContainsFunc(w, func(p *point) bool { return p.n == n }) {
					continue
				}
				used := open[:i+r.times]
				if r.next {
					used = w[:1]
				}
				ids := ""
				for _, p := range w {
					ids += " " + p.id
				}
				for _, p := range used {
					p.used = true
				}
				before := sent[r.name]
				switch {
				case len(before) > 0 && (r.once || r.every > 0 && end < before[len(before)-1]+r.every):
					gated = append(gated, "REENTRY "+r.name+ids)
				case r.slot != "" && holder[r.slot] != "":
					last = append(last, "PRIORITY "+r.name+ids)
				default:
					holder[r.slot] = r.name
					sent[r.name] = append(before, end)
					last = append(last, "SENT "+r.name+ids)
				}
				break
			}
		}
		all = append(append(all, gated...), last...)
	}
	return all
}

func TestTheDeciderDecidesAsASearchOverTheWholeLog(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	seen := map[string]int{}
	for range 1_500 {
		var c *Catalog
		var rules []rule
		for i := range 3 {
			u := rule{
				name: fmt.Sprint("c", i), times: 1 + r.IntN(3), within: r.IntN(20), lateness: r.IntN(12), every: r.IntN(2) * r.IntN(30),
				next: r.IntN(2) == 0, once: r.IntN(5) == 0, slot: []string{"", "s", "s"}[r.IntN(3)], priority: 9 - i,
			}
			rules = append(rules, u)
			c = fold(c, "Campaign/demo/"+u.name, declaration(u.source(t)), false)
		}
		if len(c.Faults()) > 0 {
			t.Fatal(c.Faults())
		}
		var log []happening
		for now := range 40 {
			if r.IntN(2) == 0 {
				log = append(log, happening{"e" + fmt.Sprint(r.IntN(60)), max(0, now-r.IntN(2)*r.IntN(16)), r.IntN(8) == 0})
			}
		}
		want := search(rules, log)
		got := decideAll(t, c, log)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v\n%+v\ngot  %q\nwant %q", rules, log, got, want)
		}
		for _, v := range got {
			verdict, _, _ := strings.Cut(v, " ")
			seen[verdict]++
		}
	}
	for _, verdict := range []string{Duplicate, Late, Reentry, Priority, Sent} {
		if seen[verdict] < 500 {
			t.Errorf("only %d times %s: the cases prove little", seen[verdict], verdict)
		}
	}
}

// decideAll steps a log and tells its verdicts; the row goes through its codec between steps.
func decideAll(t *testing.T, c *Catalog, log []happening) (all []string) {
	var row []byte
	for n, h := range log {
		result := "win"
		if h.loss {
			result = "loss"
		}
		at := proctest.Start.Add(time.Duration(h.at) * time.Second).UnixMilli()
		value, err := topics.Events.Codec.Append(nil, &schemas.Event{
			Id: h.id, Tenant: "demo", UserId: "ann", Type: "track", Name: "bet", TimeMs: at, ReceivedMs: at, Properties: []byte(`{"result":"` + result + `"}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		call := processors.Call{Key: "demo/ann", NowMS: proctest.Start.UnixMilli() + int64(n), At: schemas.Coordinates{Topic: topics.Events.Name, Offset: int64(n)}, Value: value, Views: []any{c}}
		if row != nil {
			if call.Row, err = Processor.DecodeRow(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := Processor.Step(0, &call); err != nil {
			t.Fatal(err)
		}
		if call.Changed {
			if row, err = Processor.AppendRow(nil, call.Row); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range call.Out {
			if e.Topic != topics.Verdicts.Spec {
				continue
			}
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.TrimSpace(strings.Join(append([]string{v.Verdict, v.Campaign}, v.EventIds...), " ")))
		}
	}
	return all
}
