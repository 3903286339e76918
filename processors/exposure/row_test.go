package exposure

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

var update = flag.Bool("update", false, "write the golden row if it is missing")

const golden = "testdata/row_v1.hex"

// busyRow is a row with every kind of content: parked frames, closed and open fills, spans, flags.
func busyRow(t testing.TB) []byte {
	t.Helper()
	r := proctest.New(t, Processor)
	base := r.Now().UnixMilli() - day0
	send := func(f *schemas.Frame) {
		f.EstMs, f.ReceivedMs = base+f.EstMs, base+f.ReceivedMs
		if d := time.UnixMilli(f.ReceivedMs).Sub(r.Now()); d > 0 {
			r.Advance(d)
		}
		proctest.Send(r, topics.Frames, f.Key(), f)
	}
	gone := shot("gone", 0, 100, "s=x")
	gone.End = true
	send(gone)
	send(shot("p", 0, 200, "s=x", "t=y"))
	video := shot("p", 1, 1700, "s=x", "v=film")
	video.Slots[1].Video, video.Slots[1].Playing, video.Slots[1].Campaign = true, true, "spring"
	video.ActMs = 1600
	send(video)
	send(shot("q", 0, 2000, "s=x"))
	send(shot("p", 2, 4000, "s=z", "v=film"))
	send(shot("q", 1, 4100, "s=x"))
	send(shot("p", 5, 4200, "s=z"))
	return r.Row("acme/ann")
}

func TestRowOfVersion1DecodesForEver(t *testing.T) {
	text, err := os.ReadFile(golden)
	if *update && os.IsNotExist(err) {
		text = []byte(hex.EncodeToString(busyRow(t)) + "\n")
		err = os.WriteFile(golden, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	row, err := Processor.DecodeRow(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Processor.AppendRow(nil, row)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the golden row comes out as\n%x", got)
	}
	if now := busyRow(t); !bytes.Equal(now, want) {
		t.Errorf("the same frames make another row now:\n%x", now)
	}
	var envelope schemas.Row
	var state schemas.ExposureRow
	if err := envelope.UnmarshalVT(want); err != nil {
		t.Fatal(err)
	}
	if err := state.UnmarshalVT(envelope.State); err != nil {
		t.Fatal(err)
	}
	if len(state.Views) != 2 || len(state.Views[0].Parked) != 1 || len(state.Views[0].Past) != 2 || len(state.Closed) != 1 || len(state.Spans) != 1 {
		t.Errorf("the row holds %v", &state)
	}
}

// No bytes that decode, however wrong, may stop the processor or keep it running.
func FuzzRow(f *testing.F) {
	f.Add([]byte{})
	if text, err := os.ReadFile(golden); err == nil {
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := Processor.DecodeRow(b)
		if err != nil {
			return
		}
		frame, err := topics.Frames.Codec.Append(nil, shot("p", 3, 4100, "s=z"))
		if err != nil {
			t.Fatal(err)
		}
		c := processors.Call{Key: "acme/ann", NowMS: day0 + 5000, Row: row, Value: frame}
		if err := Processor.Step(0, &c); err != nil {
			t.Fatal(err)
		}
		c.NowMS += 200_000
		if err := Processor.Wake(&c); err != nil {
			t.Fatal(err)
		}
		if c.Row != nil {
			if _, err := Processor.AppendRow(nil, c.Row); err != nil {
				t.Fatal(err)
			}
		}
	})
}
