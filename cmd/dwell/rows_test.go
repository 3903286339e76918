package main

import (
	"bytes"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/exposure"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// A row that a newer version wrote, stepped by this one, keeps what this one does not know: during a
// rolling update both write the same rows.
func TestRowsKeepWhatANewerVersionAdded(t *testing.T) {
	encode := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	outer := append([]byte{0xfa, 0x3f, 5}, "outer"...) // field 1023
	inner := append([]byte{0xfa, 0x3f, 5}, "inner"...)
	event := encode(topics.Events.Codec.Append(nil, &schemas.Event{Id: "1", Tenant: "acme", UserId: "ann", Type: "track", Name: "win", TimeMs: 2000, ReceivedMs: 2000}))
	frame := encode(topics.Frames.Codec.Append(nil, &schemas.Frame{Tenant: "acme", User: "ann", PageView: "p", Seq: 1, ReceivedMs: 2000}))
	for _, c := range []struct {
		def   *processors.Def
		topic *topics.Spec
		state []byte
		value []byte
	}{
		{engage.Processor, topics.Events.Spec, encode((&schemas.EngageRow{}).MarshalVT()), event},
		{exposure.Processor, topics.Frames.Spec, encode((&schemas.ExposureRow{}).MarshalVT()), frame},
	} {
		stored := append(encode((&schemas.Row{TimeMs: 1000, State: append(c.state, inner...)}).MarshalVT()), outer...)
		row, err := c.def.DecodeRow(stored)
		if err != nil {
			t.Fatalf("%s: %v", c.def.Name, err)
		}
		call := processors.Call{Key: "acme/ann", NowMS: 2000, Value: c.value, Row: row}
		for _, w := range c.def.Whole {
			call.Views = append(call.Views, w.Zero())
		}
		stepped := false
		for i, in := range c.def.Inputs {
			if in == c.topic {
				call.At.Topic = in.Name
				err, stepped = c.def.Step(i, &call), true
			}
		}
		if err != nil || !stepped || !call.Changed {
			t.Fatalf("%s: stepped %v, changed %v: %v", c.def.Name, stepped, call.Changed, err)
		}
		again := encode(c.def.AppendRow(nil, call.Row))
		if !bytes.HasSuffix(again, outer) || bytes.Count(again, inner) != 1 || bytes.Equal(again, stored) {
			t.Errorf("%s: %q became %q", c.def.Name, stored, again)
		}
	}
}
