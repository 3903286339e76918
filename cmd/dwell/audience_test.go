package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

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
		e := &schemas.Event{Id: id, Tenant: "demo", UserId: "ann", Type: "track", Name: "bet", TimeMs: 1}
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
	why := &whyCmd{Config: s.cfg, Name: "offer", User: "ann", Tenant: "demo"}
	s.until("both are decided", func() bool {
		out, err := s.do(func(ctx context.Context, out io.Writer) error { return why.run(ctx, out, time.Now().Add(time.Minute)) })
		return err == nil && strings.Contains(out, "AUDIENCE")
	})

	drop := &audienceDropCmd{s.flags("vip")}
	s.good(drop.run, "audience/vip is empty")
	show.Name, show.User = "vip", "ann"
	s.good(show.run, `"in": false`)
	for _, bad := range []string{"7", "x:1", "7:-1"} {
		load.Resume = bad
		if _, err := s.do(load.run); err == nil || !strings.Contains(err.Error(), "VERSION:LINE") {
			t.Errorf("--resume %s: %v", bad, err)
		}
	}
	gone := &deleteTraitCmd{s.flags("bets")}
	s.good(gone.run, "trait/bets deleted")
	if _, err := s.do(gone.run); err == nil || !strings.Contains(err.Error(), `no trait "bets"`) {
		t.Errorf("deleted twice: %v", err)
	}
	s.good((&deleteAudienceCmd{s.flags("poor")}).run, "audience/poor deleted")
}
