package engage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/pack"
	"github.com/dwellhq/dwell/processors/engage/trigger"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// goldenRow is the row of testdata/row_v1.hex.
func goldenRow() *schemas.EngageRow {
	return &schemas.EngageRow{
		RecentIds: []uint64{eventHash("a"), eventHash("b"), deliveryHash("act", "seen")},
		RecentS:   []uint32{1767225600, 1767225600, 1767225660},
		Triggers: []*schemas.TriggerRow{
			{Campaign: "engaged-reader", Pattern: 0x0123456789abcdef, HighestMs: 1767225600001, FloorMs: 1767225600000, Fired: 2, LastMatchMs: 1767225600000, Shadow: true},
			{Campaign: "hot-streak", Pattern: 42, EventIds: []string{"a", "", "ü"}, EventTimesMs: []int64{0, 1767225600000, 1767225600000}, HighestMs: 1767225600000},
		},
	}
}

// A row that was stored once decodes for ever, and an id that was remembered once is known for ever.
func TestStoredRowsDecodeForEver(t *testing.T) {
	_, got := stored(t, "row_v1.hex", goldenRow())
	storedAgain(t, got)
}

// stored is a row's bytes in a file of testdata, which must decode to what was meant.
func stored(t *testing.T, file string, want *schemas.EngageRow) ([]byte, *schemas.EngageRow) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowCodec{}.Decode(bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	return b, got
}

// storedAgain stores a row that was decoded from its plain form, and reads it again.
func storedAgain(t *testing.T, row *schemas.EngageRow) {
	t.Helper()
	b, err := rowCodec{}.Append(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rowCodec{}.Decode(b)
	if err != nil || b[0] != pack.Form || fmt.Sprint(got) != fmt.Sprint(row) {
		t.Errorf("%x is %v: %v", b, got, err)
	}
}

func TestARowOfANewerVersionKeepsWhatThisOneDoesNotKnow(t *testing.T) {
	b, err := rowCodec{}.Append(nil, goldenRow())
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, 0xfa, 0x07, 0x03, 'n', 'e', 'w') // field 127
	r, err := rowCodec{}.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := (rowCodec{}).Append(nil, r); err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to %x: %v", again, err)
	}
}

func TestRowsThatNoStepLeftAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*schemas.EngageRow){
		"a time too few":     func(r *schemas.EngageRow) { r.RecentS = r.RecentS[1:] },
		"times out of order": func(r *schemas.EngageRow) { r.RecentS[0]++; r.RecentS[1]-- },
		"too many ids": func(r *schemas.EngageRow) {
			r.RecentIds, r.RecentS = make([]uint64, RecentIDs+1), make([]uint32, RecentIDs+1)
		},
		"a campaign twice":    func(r *schemas.EngageRow) { r.Triggers[0].Campaign = r.Triggers[1].Campaign },
		"campaigns unordered": func(r *schemas.EngageRow) { r.Triggers[0].Campaign = "z" },
		"an event too few":    func(r *schemas.EngageRow) { r.Triggers[1].EventIds = r.Triggers[1].EventIds[1:] },
		"events out of order": func(r *schemas.EngageRow) { r.Triggers[1].EventTimesMs[0] = 1 << 60 },
		"too many events": func(r *schemas.EngageRow) {
			r.Triggers[0].EventIds, r.Triggers[0].EventTimesMs = make([]string, trigger.MaxEntries+1), make([]int64, trigger.MaxEntries+1)
		},
	} {
		r := goldenRow()
		spoil(r)
		b, err := rowCodec{}.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (rowCodec{}).Decode(b); !errors.Is(err, schemas.ErrUndecodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIDsAreRememberedInNumberAndTime(t *testing.T) {
	row := &schemas.EngageRow{}
	now := proctest.Start
	for i := range 3 * RecentIDs {
		if !firstSeen(row, eventHash(fmt.Sprint(i)), now) {
			t.Fatalf("id %d is known", i)
		}
		if len(row.RecentIds) > RecentIDs || len(row.RecentIds) != len(row.RecentS) {
			t.Fatalf("%d ids and %d times are kept", len(row.RecentIds), len(row.RecentS))
		}
	}
	if firstSeen(row, eventHash(fmt.Sprint(2*RecentIDs)), now) {
		t.Error("the oldest of 512 is not known")
	}
	if !firstSeen(row, eventHash(fmt.Sprint(2*RecentIDs-1)), now) {
		t.Error("an id before the last 512 is known")
	}
	if firstSeen(row, eventHash(fmt.Sprint(3*RecentIDs-1)), now.Add(RecentFor)) {
		t.Error("an id is forgotten before 7 days are over")
	}
	if !firstSeen(row, eventHash(fmt.Sprint(3*RecentIDs-1)), now.Add(RecentFor+time.Second)) {
		t.Error("an id is known after 7 days")
	}
	if len(row.RecentIds) != 1 {
		t.Errorf("%d ids are kept", len(row.RecentIds))
	}
	// An event and a channel's answer with the same words are two things.
	if eventHash("d:x") == deliveryHash("x", "") || deliveryHash("a", "bc") == deliveryHash("ab", "c") {
		t.Error("hashes of different things are equal")
	}
}

func TestIdleUsersAreForgottenUnlessTheySpentSomething(t *testing.T) {
	r := proctest.New(t, Processor)
	declareSource(t, r, "demo", hot(t, "{mode: always}", "once"))
	declareSource(t, r, "demo", hot(t, "name: hot", "name: long", "within: 10m", "within: 20d", "times: 3", "times: 9", "slot: page_popup", "slot: ''"))
	for i := range 3 {
		post(r, bet(r, "demo", "winner", fmt.Sprint(i), "win"))
	}
	post(r, bet(r, "demo", "long", "a", "win"))
	plain := &schemas.Event{Id: "a", Tenant: "demo", UserId: "reader", Type: "page", Name: "page", TimeMs: r.Now().UnixMilli()}
	post(r, plain)
	r.Advance(6 * 24 * time.Hour)
	plain.Id = "b"
	post(r, plain) // heard of again: a week from now
	r.Advance(24*time.Hour + time.Minute)
	for user, kept := range map[string]bool{"winner": true, "long": true, "reader": true} {
		if (r.Row("demo/"+user) != nil) != kept {
			t.Errorf("after 7 days the row of %s is kept: %v", user, !kept)
		}
	}
	r.Advance(14 * 24 * time.Hour)
	for user, kept := range map[string]bool{"winner": true, "long": false, "reader": false} {
		if (r.Row("demo/"+user) != nil) != kept {
			t.Errorf("after 21 days the row of %s is kept: %v", user, !kept)
		}
	}
	if n := len(r.Row("demo/winner")); n > 100 {
		t.Errorf("what is left of the winner has %d bytes", n)
	}
	proctest.Take(r, topics.Verdicts)
	for i := range 3 {
		post(r, bet(r, "demo", "winner", fmt.Sprint("x", i), "win"))
	}
	if got := proctest.Take(r, topics.Verdicts); len(got) != 1 || got[0].Verdict != Reentry {
		t.Errorf("got %v", got)
	}
}

func TestARowStaysWithinItsLimit(t *testing.T) {
	r := proctest.New(t, Processor)
	for i := range 6 { // nothing ever matches: every event stays within reach
		declareSource(t, r, "demo", hot(t, "name: hot", fmt.Sprintf("name: c%d", i), "times: 3", "times: 500", "within: 10m", "within: 0s", "allowed_lateness: 30s", "allowed_lateness: 300d"))
	}
	for i := range 120 {
		post(r, bet(r, "demo", "ann", fmt.Sprintf("%0250d", i), "win"))
		r.Advance(time.Second)
	}
	if n := rowIn(t, r, "demo/ann").SizeVT(); n < maxEntryBytes/2 || n > maxEntryBytes+16<<10 {
		t.Errorf("the row has %d bytes", n)
	}
	// All campaigns hold the same events, which are stored once.
	if n := len(r.Row("demo/ann")); n > maxEntryBytes/4 {
		t.Errorf("the stored row has %d bytes", n)
	}
}

func FuzzRow(f *testing.F) {
	good, err := rowCodec{}.Append(nil, goldenRow())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good), good...))
	patterns, err := rowCodec{}.Append(nil, patternRow())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(patterns)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := rowCodec{}.Decode(b)
		if err != nil {
			if !errors.Is(err, schemas.ErrUndecodable) {
				t.Fatal(err)
			}
			return
		}
		first, err := rowCodec{}.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rowCodec{}.Decode(first)
		if err != nil {
			t.Fatalf("%x encodes to %x, which is refused: %v", b, first, err)
		}
		if second, err := (rowCodec{}).Append(nil, again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%x encodes to %x and to %x: %v", b, first, second, err)
		}
	})
}
