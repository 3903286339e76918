package sinks

import (
	"strings"
	"testing"
)

func TestIntentReadsAsItWasWritten(t *testing.T) {
	for _, c := range []struct {
		pending []Range
		want    string
	}{
		{nil, "v1;pending=[]"},
		{[]Range{{0, 0}}, "v1;pending=[0-0]"},
		{[]Range{{101, 180}, {181, 240}}, "v1;pending=[101-180,181-240]"},
		{[]Range{{101, 180}, {183, 240}}, "v1;pending=[101-180,183-240]"}, // markers lie between
	} {
		got, err := Intent{c.pending}.Encode()
		if err != nil || got != c.want {
			t.Errorf("encode %v = %q, %v, want %q", c.pending, got, err, c.want)
		}
		back, err := ParseIntent(got)
		if err != nil || len(back.Pending) != len(c.pending) {
			t.Errorf("parse %q = %v, %v", got, back, err)
		}
	}
}

func TestIntentRefusesWhatNoSinkWrote(t *testing.T) {
	for _, s := range []string{
		"x", "v2;pending=[]", "v1;pending=[", "v1;pending=]", "v1;pending=[1]", "v1;pending=[2-1]", "v1;pending=[1-2,2-3]",
		"v1;pending=[5-6,1-2]", "v1;pending=[-1-2]", "v1;pending=[01-2]", "v1;pending=[+1-2]", "v1;pending=[1-2,]", "v1;pending=[1-99999999999999999999]",
		"v1;pending=[" + strings.Repeat("1", MaxIntentBytes) + "]", "dwell-sink-facts-3f2a", // another client's member id
	} {
		if i, err := ParseIntent(s); err == nil {
			t.Errorf("parse %.40q = %v, want an error", s, i)
		}
	}
	if i, err := ParseIntent(""); err != nil || len(i.Pending) != 0 {
		t.Errorf("parse of no metadata = %v, %v", i, err)
	}
}

func TestIntentStaysWithinTheBrokersLimit(t *testing.T) {
	var i Intent
	for n := range int64(1000) {
		i.Pending = append(i.Pending, Range{1e15 + n, 1e15 + n})
	}
	if s, err := i.Encode(); err == nil {
		t.Errorf("encoded %d bytes", len(s))
	}
}

func FuzzParseIntent(f *testing.F) {
	for _, s := range []string{"", "v1;pending=[]", "v1;pending=[101-180,181-240]", "v1;pending=[0-9223372036854775807]", "v1;pending=[1-2,3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParseIntent(s)
		if err != nil || s == "" {
			return
		}
		back, err := i.Encode()
		if err != nil || back != s {
			t.Errorf("%q reads as %v and is written as %q, %v", s, i, back, err)
		}
		if _, err := Resume(Confirmation{Offset: 0, Intent: i}); err != nil {
			t.Errorf("%q cannot be resumed: %v", s, err)
		}
	})
}
