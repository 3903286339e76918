package campaign_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/processors/engage/profile"
)

func ExampleNew() {
	win := campaign.Event("bet_settled").Where(`event.result == "win"`)
	loss := campaign.Event("bet_settled").Where(`event.result == "loss"`)
	hotStreak := campaign.New("hot-streak").Audience(campaign.In("vip"), campaign.NotIn("self_excluded")).
		When(campaign.Count(win, 3).Until(loss).Within(10 * time.Minute).AfterMatch(campaign.SkipPastLast)).
		Reentry(campaign.Cooldown(24 * time.Hour)).Holdout(0.10).
		Send(campaign.Popup("popup/boost50").Title("You are on a roll").Expire(30 * time.Second))
	file, err := hotStreak.YAML()
	if err != nil {
		fmt.Println(err) // every fault, by the call that brought it in
		return
	}
	fmt.Print(string(file))
	// Output:
	// apiVersion: dwell/v1
	// kind: Campaign
	// metadata:
	//   name: hot-streak
	// spec:
	//   state: live
	//   audience:
	//     include:
	//       - vip
	//     exclude:
	//       - self_excluded
	//   trigger:
	//     pattern:
	//       count:
	//         event: bet_settled
	//         where: "event.result == \"win\""
	//         times: 3
	//     until:
	//       - event: bet_settled
	//         where: "event.result == \"loss\""
	//     within: 10m
	//     after_match: skip_past_last
	//   reentry:
	//     mode: cooldown
	//     every: 24h
	//   response:
	//     expire_after: 30s
	//   experiment:
	//     holdout: "10%"
	//   channels:
	//     - type: popup
	//       content: popup/boost50
	//       title: "You are on a roll"
}

func ExampleNewTrait() {
	deposits := campaign.NewTrait("deposits_7d").
		Computes(profile.Sum, campaign.Event("deposit").Where(`event.currency == "EUR"`)).Field("event.amount").Over(7 * 24 * time.Hour)
	bigSpenders := campaign.NewAudience("big_spenders").Where("user.deposits_7d >= 500")
	vip := campaign.NewAudience("vip").List()
	for _, declaration := range []interface{ YAML() ([]byte, error) }{deposits, bigSpenders, vip} {
		document, err := declaration.YAML()
		if err != nil {
			fmt.Println(err) // every fault, by the call that brought it in
			return
		}
		fmt.Printf("---\n%s", document)
	}
	// Output:
	// ---
	// apiVersion: dwell/v1
	// kind: Trait
	// metadata:
	//   name: deposits_7d
	// spec:
	//   event: deposit
	//   where: "event.currency == \"EUR\""
	//   compute: sum
	//   field: event.amount
	//   over: 168h
	// ---
	// apiVersion: dwell/v1
	// kind: Audience
	// metadata:
	//   name: big_spenders
	// spec:
	//   where: "user.deposits_7d >= 500"
	// ---
	// apiVersion: dwell/v1
	// kind: Audience
	// metadata:
	//   name: vip
	// spec:
	//   list: true
}

// TestTheGuideShowsTheExample keeps the guide's code what is compiled and run here.
func TestTheGuideShowsTheExample(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/campaigns-in-go.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ExampleNew", "ExampleNewTrait"} {
		_, code, _ := strings.Cut(string(source), "func "+name+"() {\n")
		code, _, ok := strings.Cut(code, "\t// Output:")
		var lines strings.Builder
		for l := range strings.Lines(code) {
			lines.WriteString(strings.TrimPrefix(l, "\t"))
		}
		if !ok || !strings.Contains(string(guide), "```go\n"+lines.String()+"```") {
			t.Errorf("docs/campaigns-in-go.md does not show %s to the letter:\n%s", name, &lines)
		}
	}
}
