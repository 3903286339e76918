package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const shopFile = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: offer}
spec:
  state: live
  audience: {include: [vip], exclude: [poor]}
  trigger: {pattern: {count: {event: bet, times: 1}}}
  channels: [{type: popup, content: popup/offer}]
---
apiVersion: dwell/v1
kind: Audience
metadata: {name: vip}
spec: {list: true}
---
apiVersion: dwell/v1
kind: Audience
metadata: {name: poor}
spec: {where: 'user.bets < 2'}
---
apiVersion: dwell/v1
kind: Trait
metadata: {name: bets}
spec: {event: bet, compute: count, over: 7d}
`

func TestAudiencesAndTraitsAreAppliedLoadedShownAndTakenAway(t *testing.T) {
	s := newShop(t, true)
	path := s.file("shop.yaml", shopFile)
	apply := &applyCmd{Config: s.cfg, File: path, Tenant: "demo", Timeout: patience}
	s.good(apply.run, "trait/bets created", "audience/vip created", "campaign/offer created", "in force in 1 worker(s)")
	diff := &diffCmd{Config: s.cfg, File: path, Tenant: "demo"}
	if out := s.good(diff.run); out != "" {
		t.Errorf("a difference:\n%s", out)
	}
	s.file("shop.yaml", strings.Replace(shopFile, "over: 7d", "over: 8d", 1))
	s.good(diff.run, "trait/bets changed", "- spec: {event: bet, compute: count, over: 7d}")
	traits := &getTraitsCmd{Config: s.cfg, Tenant: "demo"}
	s.good(traits.run, "bets", "count", "168h0m0s in panes of 6h0m0s", "shop.yaml")

	ls := &audienceLsCmd{Config: s.cfg, Tenant: "demo"}
	s.good(ls.run, "vip", "never", "user.bets < 2")
	load := &audienceLoadCmd{Config: s.cfg, Name: "vip", File: s.file("vip.csv", "ann\nbob\n"), Tenant: "demo", Timeout: patience}
	s.good(load.run, "to go on from here: --resume ", "is current: 2 members of vip.csv, 0 bad lines", "in force in 1 worker(s)")
	s.good(ls.run, "list   2", "vip.csv")
	show := &audienceShowCmd{Config: s.cfg, Name: "vip", User: "ann", Tenant: "demo"}
	s.good(show.run, `"in": true`)
	show.User = "cat"
	s.good(show.run, `"in": false`)
	show.User = ""
	s.good(show.run, `"members": 2`, `"uploaded": true`)
	show.Name, show.User = "poor", "ann"
	s.good(show.run, `"in": true`, `"bets": 0`)
	show.Name, show.User = "nobody", ""
	if _, err := s.do(show.run); err == nil {
		t.Error("what is not there is shown")
	}

	// The first bet: she is in, but poor; the second: no more.
	for _, id := range []string{"1", "2"} {
		e := &schemas.Event{Id: id, Tenant: "demo", UserId: "ann", Type: "track", Name: "bet", TimeMs: time.Now().UnixMilli()}
		out, err := kafka.NewEmitter(s.cfg, "test", topics.Events)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.EmitSync(t.Context(), e.Key(), e); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ask := &whyCmd{Config: s.cfg, Name: "offer", User: "ann", Tenant: "demo"}
	why := func(ctx context.Context, out io.Writer) error { return ask.run(ctx, out, time.Now().Add(time.Minute)) }
	s.until("both are decided", func() bool {
		out, err := s.do(why)
		return err == nil && strings.Contains(out, "AUDIENCE") && strings.Contains(out, "it was sent")
	})
	s.good(why, "the user was in the list vip (version ", "in vip\n")
	decided := time.Now()

	drop := &audienceDropCmd{s.flags("vip")}
	s.good(drop.run, "audience/vip is empty")
	s.good(why, "the user was not in the list vip (version ")
	ask.At, ask.JSON = decided, true
	s.whyInList(why, true, 1)
	s.truncate(topics.Members.Name)
	s.whyInList(why, true, 1) // the row knows it still
	s.good(load.run, "is current: 2 members")
	s.whyInList(why, nil, 0) // now it does not
	ask.At, ask.JSON = time.Time{}, false
	s.good(why, "the user was in the list vip (version ", "Of 2 matches it cannot be known", "in vip? unknown")
	s.good(drop.run, "audience/vip is empty")
	show.Name, show.User = "vip", "ann"
	s.good(show.run, `"in": false`)
	for _, bad := range []string{"7", "x:1", "7:-1"} {
		load.Resume = bad
		if _, err := s.do(load.run); err == nil || !strings.Contains(err.Error(), "VERSION:LINE") {
			t.Errorf("--resume %s: %v", bad, err)
		}
	}
	s.describes()
	gone := &deleteTraitCmd{s.flags("bets")}
	s.good(gone.run, "trait/bets deleted")
	if _, err := s.do(gone.run); err == nil || !strings.Contains(err.Error(), `no trait "bets"`) {
		t.Errorf("deleted twice: %v", err)
	}
	s.good((&deleteAudienceCmd{s.flags("poor")}).run, "audience/poor deleted")
	s.good((&describeTraitCmd{describeFlags{Config: s.cfg, Name: "bets", Tenant: "demo"}}).run, "Kind:     deleted", "Read by:\n  nothing\n", "computed")
}

// whyInList asks for JSON and checks how the user stood to the list vip, and what was let through.
func (s *shop) whyInList(ask func(context.Context, io.Writer) error, in any, fired int) {
	s.t.Helper()
	var a struct {
		Lists []struct {
			Audience string
			In       any
			Why      string
		}
		Progress struct{ Fired int }
	}
	out := s.good(ask)
	if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Lists) != 1 || a.Lists[0].Audience != "vip" || a.Lists[0].In != in || a.Progress.Fired != fired {
		s.t.Errorf("in the list: want %v, %d let through: %v\n%s", in, fired, err, out)
	}
}

// truncate deletes all records of a topic, as retention does.
func (s *shop) truncate(topic string) {
	s.t.Helper()
	cl, err := s.cfg.NewClient("test")
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	gone, err := adm.DeleteRecords(s.t.Context(), ends.Offsets())
	if err == nil {
		err = gone.Error()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// describes checks how the audiences and traits of the shop are shown.
func (s *shop) describes() {
	s.t.Helper()
	flags := func(name string) describeFlags { return describeFlags{Config: s.cfg, Name: name, Tenant: "demo"} }
	list := &describeAudienceCmd{flags("vip")}
	s.good(list.run, "Kind:     list", "Members:  0  version ", "          2  version ", "vip.csv", "  campaign/offer  live, include\n", "Versions, newest first:\n", "spec: {list: true}\n")
	rule := &describeAudienceCmd{flags("poor")}
	s.good(rule.run, "Kind:     rule", "Where:    user.bets < 2", "Members:  nobody counts them", "  campaign/offer  live, exclude\n")
	trait := &describeTraitCmd{flags("bets")}
	out := s.good(trait.run, "Kind:     computed", "Computes: count", "bet, 168h0m0s in panes of 6h0m0s", "  audience/poor  where\n", "over: 7d")
	if strings.Contains(out, "campaign/") {
		s.t.Errorf("no campaign reads the trait itself:\n%s", out)
	}
	trait.Version = "none"
	if _, err := s.do(trait.run); err == nil || !strings.Contains(err.Error(), "trait bets has no version none") {
		s.t.Errorf("a version that never was: %v", err)
	}
	for _, none := range []func(context.Context, io.Writer) error{(&describeTraitCmd{flags("vip")}).run, (&describeAudienceCmd{flags("bets")}).run} {
		if _, err := s.do(none); err == nil || !strings.Contains(err.Error(), "shows what there is") {
			s.t.Errorf("what is not there: %v", err)
		}
	}
	trait = &describeTraitCmd{flags("bets")}
	trait.Tenant = "other"
	if _, err := s.do(trait.run); err == nil {
		s.t.Error("another tenant sees it")
	}
}
