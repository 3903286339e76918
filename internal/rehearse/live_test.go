package rehearse

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
)

// threeCampaigns: two compete for a slot, one of which starts over at a loss and one has a cooldown; the
// third is decided by deadlines.
const threeCampaigns = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot}
spec:
  state: live
  trigger:
    pattern: {count: {event: bet, where: 'event.result == "win"', times: 3}}
    until: [{event: bet, where: 'event.result == "loss"'}]
    within: 10m
  priority: 20
  slot: popup
  channels: [{type: popup, content: a}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: any}
spec:
  state: live
  trigger:
    pattern: {count: {event: bet, times: 2}}
    within: 1h
    after_match: skip_to_next
  reentry: {mode: cooldown, every: 20m}
  slot: popup
  channels: [{type: popup, content: b}]
---
apiVersion: dwell/v1
kind: Campaign
metadata: {name: gone}
spec:
  state: live
  trigger:
    pattern: {absence: {event: bet, not: {event: bet, where: 'event.result == "loss"'}, restart: false}}
    within: 5m
  channels: [{type: popup, content: c}]
`

// randomLog is NDJSON with duplicates, late events, events without an id or time, and bad lines.
func randomLog(seed uint64, n, users int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	var b strings.Builder
	for i := range n {
		at = at.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
		event := at.Add(-time.Duration(r.IntN(60_000)) * time.Millisecond)
		id := fmt.Sprintf(`"messageId":"m%d",`, i-r.IntN(2)*r.IntN(20))
		if r.IntN(10) == 0 {
			id = ""
		}
		result := [...]string{"win", "win", "win", "loss"}[r.IntN(4)]
		fmt.Fprintf(&b, `{"type":"track","event":"bet",%s"userId":"u%d","receivedAt":%q,"timestamp":%q,"properties":{"result":%q}}`+"\n",
			id, r.IntN(users), at.Format(time.RFC3339Nano), event.Format("2006-01-02T15:04:05.000Z07:00"), result)
		if r.IntN(50) == 0 {
			fmt.Fprintln(&b, `{"type":"track"`)
		}
	}
	return b.String()
}

// plain makes verdicts comparable, in one order.
func plain(all []*schemas.Verdict) []string {
	var lines []string
	for _, v := range all {
		lines = append(lines, fmt.Sprintf("%+v at %s/%d/%d", DecisionOf(v), v.SrcTopic, v.SrcPartition, v.SrcOffset)+" "+string(v.Detail))
	}
	for i, l := range lines { // EventTime is a pointer
		lines[i] = l[:strings.Index(l, "EventTime:")] + l[strings.Index(l, " MatchID:"):] + fmt.Sprint(all[i].EventTimeMs)
	}
	slices.Sort(lines)
	return lines
}

func TestARehearsalGivesTheVerdictsOfALiveWorker(t *testing.T) {
	const seed = 7
	log := randomLog(seed, 1500, 12)
	all := parse(t, threeCampaigns)
	w := newWorld(t, all)
	w.work(1)
	w.decided(w.produce(log))
	rehearsed, report := w.rehearse(log)
	live := w.live(report.To, len(rehearsed))
	got, want := plain(rehearsed), plain(live)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("first difference:\nrehearsed %s\nlive      %s", got[i], want[i])
				break
			}
		}
		t.Fatalf("seed %d: %d verdicts rehearsed, %d live", seed, len(got), len(want))
	}
	kinds, woken := map[string]int{}, 0
	for _, v := range live {
		kinds[v.Verdict]++
		if v.SrcTopic == "" && v.Campaign == "gone" {
			woken++
		}
	}
	if woken == 0 {
		t.Error("no deadline was decided, so it tests little")
	}
	for _, k := range []string{engage.Sent, engage.Late, engage.Duplicate, engage.Reentry, engage.Priority} {
		if kinds[k] == 0 {
			t.Errorf("the log leads to no %s, so it tests little: %v", k, kinds)
		}
	}

	// The same over the topic.
	again, err := New("demo", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromTopic, err := again.Topic(t.Context(), w.cfg, time.Time{}, report.To)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range fromTopic.Campaigns {
		if other := report.Campaigns[i]; !maps.Equal(c.Verdicts, other.Verdicts) || c.Matches != other.Matches || !sameHours(c.Hours, other.Hours) {
			t.Errorf("%s over the topic %v, over the file %v", c.Name, c.Verdicts, other.Verdicts)
		}
	}
	if fromTopic.Events != report.Events || fromTopic.Users != report.Users || fromTopic.Counted != report.Counted {
		t.Errorf("over the topic %+v, over the file %+v", fromTopic, report)
	}
	late, err := New("demo", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := report.From.Add(report.To.Sub(report.From) / 2)
	if part, err := late.Topic(t.Context(), w.cfg, half, report.To); err != nil || part.Events == 0 || part.Events >= report.Events || part.From.Before(half) {
		t.Errorf("the later half: %+v, %v", part, err)
	}
	other, err := New("shop", all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if none, err := other.Topic(t.Context(), w.cfg, time.Time{}, report.To); err != nil || none.Events != 0 {
		t.Errorf("another tenant: %+v, %v", none, err)
	}
}

func sameHours(a, b []Hour) bool {
	return slices.EqualFunc(a, b, func(x, y Hour) bool { return cmp.Compare(x.Matches, y.Matches) == 0 && reflect.DeepEqual(x, y) })
}
