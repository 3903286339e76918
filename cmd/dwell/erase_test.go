package main

import (
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/erase"
	"github.com/dwellhq/dwell/processors/engage"
)

func TestEraseSaysWhatItDidAndWhatIsLeft(t *testing.T) {
	out := erased("de'mo", []erase.Answer{
		{User: "old", Verdict: engage.Erased, Owner: "ann"},
		{User: "ann", Verdict: engage.Erased, Campaigns: 2, Pending: 1, Claimed: []string{"~phone", `~x\'); DROP`}},
	})
	for _, want := range []string{
		"old was ann's by a claim: ann is erased, too", "ann: erased: progress in 2 campaigns, 1 responses that waited, the profile, 2 ids that pointed here",
		`ALTER TABLE verdicts DELETE WHERE tenant = 'de\'mo' AND user IN ('old', 'ann', '~phone', '~x\\\'); DROP')`, "exposure_ledger", "retention",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no word of %q in\n%s", want, out)
		}
	}
	if out := erased("demo", []erase.Answer{{User: "ann", Verdict: engage.Lifted}}); !strings.Contains(out, "no longer suppressed") || strings.Contains(out, "ALTER") {
		t.Error(out)
	}
	if out := erased("demo", []erase.Answer{{User: "ann", Verdict: engage.Lifted, Reason: "nothing was suppressed"}}); out != "ann: nothing was suppressed\n" {
		t.Error(out)
	}
}
