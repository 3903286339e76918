package journal

import (
	"testing"

	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
)

// A row that an older version stored in other bytes is the row of the replay; another row is not.
func TestARowThatAnOlderVersionStoredIsNoDifference(t *testing.T) {
	plain := func(fired uint32) []byte {
		state, err := (&schemas.EngageRow{Triggers: []*schemas.TriggerRow{{Campaign: "hot", Fired: fired}}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		b, err := (&schemas.Row{TimeMs: 7, State: state}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var report Report
	p := &partition{replay: &replay{def: engage.Processor, report: &report}, rows: map[string][]byte{}, wrote: map[string]int64{}}
	p.rows["demo/ann"] = p.anew(plain(1))
	if string(p.rows["demo/ann"]) == string(plain(1)) {
		t.Fatal("the two versions store the row in the same bytes")
	}
	for _, same := range [][]byte{plain(1), p.rows["demo/ann"]} {
		if p.compareRow("demo/ann", same, schemas.Coordinates{}); report.Differences != 0 {
			t.Errorf("%x: %v", same, report.First)
		}
	}
	for i, other := range [][]byte{plain(2), {1, 2, 3}, nil} {
		if p.compareRow("demo/ann", other, schemas.Coordinates{}); report.Differences != int64(i+1) {
			t.Errorf("%x: %d differences", other, report.Differences)
		}
	}
}
