package pack

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dwellhq/dwell/schemas"
)

var update = flag.Bool("update", false, "write golden files that are missing")

const startMS = 1767225600000

// campaignRow has a place in each of n campaigns, and holds an event of each and of the one before.
func campaignRow(n int) *schemas.EngageRow {
	row := &schemas.EngageRow{Gates: &schemas.GateState{Zone: "Europe/London"}}
	id := func(i int) string {
		b := make([]byte, half)
		for at := range b {
			b[at] = byte(i*37 + at*11)
		}
		return string(appendUUID(nil, b))
	}
	for i := range n {
		ms := startMS + int64(i)*1000 + int64(i*61%1000)
		row.RecentIds, row.RecentS = append(row.RecentIds, hashOf(id(i))), append(row.RecentS, uint32(ms/1000))
		t := &schemas.TriggerRow{
			Campaign: fmt.Sprintf("campaign-%04d", i), Pattern: uint64(i) * 0x9fb21c651e98df25, HighestMs: ms, EventIds: []string{id(i)}, EventTimesMs: []int64{ms},
		}
		if i%4 == 1 { // an event that the campaign before holds too
			before := row.Triggers[i-1]
			t.EventIds, t.EventTimesMs = []string{before.EventIds[0], id(i)}, []int64{before.EventTimesMs[0], ms}
			t.EventSteps = []uint32{1, 2}
		}
		if i%4 == 2 {
			t.EventSteps, t.EventNumbers, t.DueMs = []uint32{1}, []float64{float64(ms + 600_000)}, ms+600_000
		}
		if i%4 == 3 {
			t.EventNumbers, t.FloorMs, t.Fired, t.LastMatchMs = []float64{50.5}, ms-5000, 2, ms-5000
		}
		row.Triggers = append(row.Triggers, t)
	}
	return row
}

// goldens are the rows of testdata, by name.
func goldens() map[string]*schemas.EngageRow {
	fields := &schemas.EngageRow{}
	fill(fields.ProtoReflect())
	mixed := campaignRow(12)
	mixed.RecentIds[3] = 42 // what a campaign holds may be no longer recent
	mixed.Triggers[4].EventIds[0] = "dwell.events.v1/3/17"
	mixed.Triggers[5].EventIds[1] = "0123456789abcdef0123456789abcdef"
	mixed.Triggers[6].EventIds[0] = ""
	mixed.Triggers[7].EventTimesMs[0]++ // by the campaign's own clock
	mixed.Triggers[8].EventNumbers = []float64{1e300}
	mixed.Triggers[9].Parts = []*schemas.TriggerPart{{Value: `"x"`, EventIds: mixed.Triggers[0].EventIds, EventTimesMs: mixed.Triggers[0].EventTimesMs, EventNumbers: []float64{-7}, FloorMs: startMS}}
	mixed.Triggers[9].Shadow = true
	mixed.Triggers[11].Campaign += strings.Repeat("-long", 60)
	mixed.Triggers = append(mixed.Triggers, &schemas.TriggerRow{Campaign: mixed.Triggers[11].Campaign + "er"})
	return map[string]*schemas.EngageRow{"fields": fields, "few": campaignRow(5), "many": campaignRow(12), "mixed": mixed}
}

// A row that was stored once decodes for ever. The form may change; what it wrote may not.
func TestStoredRowsDecodeForEver(t *testing.T) {
	for name, row := range goldens() {
		file := filepath.Join("testdata", name+".hex")
		if _, err := os.Stat(file); *update && os.IsNotExist(err) {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(roundTrip(t, row))+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(stored); err != nil || !proto.Equal(got, row) {
			t.Errorf("%s: got %v\nwant %v: %v", name, got, row, err)
		}
		if again := roundTrip(t, row); !bytes.Equal(again, stored) || stored[0] != Form {
			t.Errorf("%s: encodes to %x", name, again)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, row := range goldens() {
		b, err := Append(nil, row)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		b, err = row.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{Form})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := Decode(b)
		if err == nil {
			roundTrip(t, row)
		}
	})
}

// BenchmarkRow is a row in its plain form and packed; rows of 1 campaign, of 5 and of 100.
func BenchmarkRow(b *testing.B) {
	forms := map[string]struct {
		append func([]byte, *schemas.EngageRow) ([]byte, error)
		decode func([]byte) (*schemas.EngageRow, error)
	}{"plain": {plain{}.Append, plain{}.Decode}, "packed": {Append, Decode}}
	for _, n := range []int{1, 5, 100} {
		row := campaignRow(n)
		for _, name := range []string{"plain", "packed"} {
			form := forms[name]
			stored, err := form.append(nil, row)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%d/encode/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				buf := make([]byte, 0, 2*len(stored))
				for b.Loop() {
					if _, err := form.append(buf, row); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(stored)), "B/row")
			})
			b.Run(fmt.Sprintf("%d/decode/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := form.decode(stored); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
