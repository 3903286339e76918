package schemas

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const wholeFrame = `{"v":1,"uid":"somebody","pv":"p-1","seq":7,"ct":1234.987,"est":1700000000000.5,"ect":1200,"vis":1,"foc":true,"frz":0,
	"act":900.2,"vw":1280,"vh":720.5,"end":false,"resume":1,"wt":-3600000,"unknown":{"a":[1]},
	"slots":{"top":{"o":3,"fill":7,"in":37500,"tot":75000.9,"vid":1,"play":true,"mt":1500.7,"campaign":"spring","creative":12,"placement":"home"},
	"Side":{"fill":"f-1","in":0,"tot":0}}}`

func TestParseFrameTakesWhatBrowsersWrite(t *testing.T) {
	got, err := ParseFrame([]byte(wholeFrame), "acme", "ann", 1700000000040)
	if err != nil {
		t.Fatal(err)
	}
	want := &Frame{
		Tenant: "acme", User: "ann", ReceivedMs: 1700000000040,
		PageView: "p-1", Seq: 7, CtMs: 1234, EstMs: 1700000000000, EctMs: 1200, Visible: true, Focused: true,
		ActMs: 900, ViewportWidth: 1280, ViewportHeight: 720, Resume: true, WallMs: -3600000,
		Slots: []*FrameSlot{
			{Slot: "Side", Fill: "f-1"},
			{Slot: "top", OpenedSeq: 3, Fill: "7", InPx: 37500, TotalPx: 75000, Video: true, Playing: true, MediaMs: 1500, Campaign: "spring", Creative: "12", Placement: "home"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got.Key() != "acme/ann" {
		t.Errorf("key %s", got.Key())
	}
}

func TestFrameMayHoldNoSlot(t *testing.T) {
	f, err := ParseFrame([]byte(`{"v":1,"pv":"p","seq":0,"ct":0,"slots":{}}`), "acme", "ann", 1)
	if err != nil || len(f.Slots) != 0 {
		t.Errorf("got %v, %v", f, err)
	}
}

func TestParseFrameReportsEveryFault(t *testing.T) {
	_, err := ParseFrame([]byte(`{"v":2,"pv":"","seq":1.5,"ct":-1,"est":1e400,"ect":"12","vis":"yes","act":[1],"vw":1e12,"foc":2,
		"slots":{"top":{"in":-5,"tot":1e15,"fill":{},"o":-1,"mt":1e17},"side":[]}}`), "", "a/b", -1)
	if err == nil {
		t.Fatal("no fault at all")
	}
	for _, want := range []string{
		"v: 2 is not spoken here, 1 is", "pv: is empty", "seq: 1.5 is no whole number", "ct: -1 ms", "est: 1e400 is no number", `ect: "12" is no number`,
		`vis: "yes" is none of`, "foc: 2 is none of", "act: [1] is no number", "vw: 1000000000000 pixels", "tenant: is empty", "received time: -1 ms",
		`slots: "top": in: -5 pixels`, `slots: "top": tot: 1000000000000000 pixels`, `slots: "top": fill: {} is neither`, `slots: "top": o: -1 lies`,
		`slots: "top": mt: 1e17 is no number`, `slots: "side": must be a JSON object`,
	} {
		if n := strings.Count(err.Error(), want); n != 1 {
			t.Errorf("%q is there %d times in:\n%v", want, n, err)
		}
	}
}

func TestFrameBounds(t *testing.T) {
	slots := func(n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(`"s%d":{"fill":1}`, i))
		}
		return "{" + strings.Join(s, ",") + "}"
	}
	long, tooLong := strings.Repeat("x", MaxIDBytes), strings.Repeat("x", MaxIDBytes+1)
	frame := func(pv string, seq, ct any, slots string) string {
		return fmt.Sprintf(`{"v":1,"pv":%q,"seq":%v,"ct":%v,"slots":%s}`, pv, seq, ct, slots)
	}
	for name, c := range map[string]struct {
		json string
		ok   bool
	}{
		"64 slots":            {frame("p", 0, 0, slots(64)), true},
		"65 slots":            {frame("p", 0, 0, slots(65)), false},
		"longest page view":   {frame(long, 0, 0, "{}"), true},
		"page view too long":  {frame(tooLong, 0, 0, "{}"), false},
		"longest slot":        {frame("p", 0, 0, `{"`+long+`":{}}`), true},
		"slot too long":       {frame("p", 0, 0, `{"`+tooLong+`":{}}`), false},
		"slot without a name": {frame("p", 0, 0, `{"":{}}`), false},
		"campaign too long":   {frame("p", 0, 0, `{"s":{"campaign":"`+tooLong+`"}}`), false},
		"highest seq":         {frame("p", 1<<31-1, 0, "{}"), true},
		"seq too high":        {frame("p", 1<<31, 0, "{}"), false},
		"seq far too high":    {frame("p", "1e30", 0, "{}"), false},
		"latest time":         {frame("p", 0, MaxFrameMS, "{}"), true},
		"time too late":       {frame("p", 0, MaxFrameMS+1, "{}"), false},
		"time far too late":   {frame("p", 0, "9e18", "{}"), false},
		"a little below zero": {frame("p", 0, -0.1, "{}"), false},
		"no seq":              {`{"v":1,"pv":"p","ct":0,"slots":{}}`, false},
		"no clock":            {`{"v":1,"pv":"p","seq":0,"slots":{}}`, false},
		"no slots":            {`{"v":1,"pv":"p","seq":0,"ct":0}`, false},
		"no version":          {`{"pv":"p","seq":0,"ct":0,"slots":{}}`, false},
		"slots null":          {frame("p", 0, 0, "null"), false},
		"slots a list":        {frame("p", 0, 0, "[]"), false},
		"a slot null":         {frame("p", 0, 0, `{"s":null}`), false},
		"empty":               {``, false},
		"null":                {`null`, false},
		"a list":              {`[]`, false},
		"two":                 {frame("p", 0, 0, "{}") + frame("p", 1, 0, "{}"), false},
		"longer than a frame": {frame("p", 0, 0, "{}"+strings.Repeat(" ", MaxFrameBytes)), false},
		"largest area":        {frame("p", 0, 0, `{"s":{"in":1000000000000,"tot":1000000000000}}`), true},
	} {
		if f, err := ParseFrame([]byte(c.json), "acme", "ann", 1); (err == nil) != c.ok || (f != nil) != c.ok {
			t.Errorf("%s: frame %t, error %v", name, f != nil, err)
		}
	}
}

func TestValidateSeesWhatNoJSONCanSay(t *testing.T) {
	f := &Frame{Tenant: "a/b", User: "\xff", PageView: "p", Slots: []*FrameSlot{{Slot: "s"}, {Slot: "t"}, {Slot: "s"}}}
	err := f.Validate()
	for _, want := range []string{"tenant: \"a/b\" holds a slash", "user: \"\\xff\" is no UTF-8", "slots: \"s\" is there twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in: %v", want, err)
		}
	}
	good, err := ParseFrame([]byte(wholeFrame), "acme", "ann", 1)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = good.Validate() }); n > 2 {
		t.Errorf("checking a good frame makes %.0f allocations", n)
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range []string{
		wholeFrame, `{}`, `null`, `{"v":1,"pv":"p","seq":0,"ct":0,"slots":{}}`, `{"v":1,"pv":7,"seq":0,"ct":1e3,"slots":{"s":{"fill":-0.5e-1}}}`,
		`{"v":1,"pv":"\u0000/\ud800","seq":2147483647,"ct":9007199254740992,"slots":{"a/b":{"in":1e12,"tot":1}}}`, `{"slots":{"s":[]},"ct":1e999}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b, "acme", "ann", 1)
		if (frame == nil) == (err == nil) {
			t.Fatalf("frame %v, error %v", frame, err)
		}
		if err != nil {
			return
		}
		if err := frame.Validate(); err != nil {
			t.Fatalf("a frame that parsed does not validate: %v", err)
		}
		var codec Proto[Frame, *Frame]
		wire, err := codec.Append(nil, frame)
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec.Decode(wire)
		if err != nil || again.String() != frame.String() {
			t.Fatalf("over the wire %v comes out as %v, %v", frame, again, err)
		}
	})
}
