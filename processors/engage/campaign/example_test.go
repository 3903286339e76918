package campaign_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/campaign"
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
	_, code, _ := strings.Cut(string(source), "func ExampleNew() {\n")
	code, _, ok := strings.Cut(code, "\t// Output:")
	var lines strings.Builder
	for l := range strings.Lines(code) {
		lines.WriteString(strings.TrimPrefix(l, "\t"))
	}
	if !ok || !strings.Contains(string(guide), "```go\n"+lines.String()+"```") {
		t.Errorf("docs/campaigns-in-go.md does not show ExampleNew to the letter:\n%s", &lines)
	}
}
