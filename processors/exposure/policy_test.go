package exposure

import (
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func TestEveryFaultOfAPolicyIsReported(t *testing.T) {
	err := Policy{PixelShare: 2_000_000, LargePx: 1, CapS: -1}.Validate()
	for _, field := range []string{"PixelShare", "LargeShare", "RunMS", "VideoRunMS", "CapS", "HeartbeatMS", "GapMS", "WaitMS", "CloseMS"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("nothing about %s in: %v", field, err)
		}
	}
	if err := DefaultPolicy().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := NewMachine(Policy{}); err == nil {
		t.Error("the zero policy makes a machine")
	}
}

func TestPolicyHashChangesWithEveryRule(t *testing.T) {
	seen := map[string]int{DefaultPolicy().Hash(): -1}
	for i, change := range []func(*Policy){
		func(p *Policy) { p.PixelShare++ }, func(p *Policy) { p.LargePx++ }, func(p *Policy) { p.LargeShare++ },
		func(p *Policy) { p.RunMS++ }, func(p *Policy) { p.VideoRunMS++ }, func(p *Policy) { p.CapS++ },
		func(p *Policy) { p.FocusRequired = false }, func(p *Policy) { p.EngagedMS++ }, func(p *Policy) { p.HeartbeatMS++ },
		func(p *Policy) { p.GapMS++ }, func(p *Policy) { p.WaitMS++ }, func(p *Policy) { p.CloseMS++ },
		func(p *Policy) { p.FastMS++ }, func(p *Policy) { p.ClockAgeMS++ },
	} {
		p := DefaultPolicy()
		change(&p)
		if j, ok := seen[p.Hash()]; ok {
			t.Errorf("changes %d and %d have one hash", i, j)
		}
		seen[p.Hash()] = i
	}
	if got := DefaultPolicy().Hash(); got != "df63605a0a96" {
		t.Errorf("the default policy's hash is %s: entries already written name another; raise rules on purpose", got)
	}
}

// A video slot of 300,000 px that plays in a visible page without focus, 45 % in view, for 30 s.
func TestPolicyDecidesWhatCounts(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Policy)
		exposed  int64
		billable int64
	}{
		"default":            {func(*Policy) {}, 0, 0},
		"focus not required": {func(p *Policy) { p.FocusRequired = false }, 30_000, 20},
		"no cap":             {func(p *Policy) { p.FocusRequired, p.CapS = false, 0 }, 30_000, 30},
		"no large slots":     {func(p *Policy) { p.FocusRequired, p.LargePx = false, 0 }, 0, 0},
		"40 % of any slot":   {func(p *Policy) { p.FocusRequired, p.LargePx, p.PixelShare = false, 0, 400_000 }, 30_000, 20},
		"a run of 31 s":      {func(p *Policy) { p.FocusRequired, p.VideoRunMS = false, 31_000 }, 30_000, 0},
		"a gap of 4 s":       {func(p *Policy) { p.FocusRequired, p.GapMS = false, 4000 }, 0, 0},
	} {
		p := DefaultPolicy()
		c.change(&p)
		r := proctest.New(t, New(p))
		sendRun(r, func(f *schemas.Frame) {
			f.Focused = false
			f.Slots[0].Video, f.Slots[0].Playing, f.Slots[0].InPx, f.Slots[0].TotalPx = true, true, 135_000, 300_000
		})
		got := proctest.Take(r, topics.Exposures)
		if e := got[len(got)-1]; e.ExposedMs != c.exposed || e.BillableS != c.billable || e.RulesHash != p.Hash() {
			t.Errorf("%s: %d ms, %d s billable, rules %s; want %d, %d", name, e.ExposedMs, e.BillableS, e.RulesHash, c.exposed, c.billable)
		}
	}
}

// sendRun sends seven frames of acme/ann, 5 s apart, and ends the page view.
func sendRun(r *proctest.Run, change func(*schemas.Frame)) {
	base := r.Now().UnixMilli() - day0
	for i := range uint32(7) {
		f := shot("p", i, int64(i)*5000, "s=x")
		f.EstMs, f.ReceivedMs, f.End = base+f.EstMs, base+f.ReceivedMs, i == 6
		change(f)
		r.Advance(max(0, time.UnixMilli(f.ReceivedMs).Sub(r.Now())))
		proctest.Send(r, topics.Frames, f.Key(), f)
	}
}

func TestTenantsAndUsersDoNotTouchEachOther(t *testing.T) {
	r := proctest.New(t, Processor)
	for _, who := range [][2]string{{"acme", "ann"}, {"acme", "bob"}, {"other", "ann"}} {
		base := proctest.Start.UnixMilli() - day0
		for i := range uint32(3) {
			f := shot("p", i, int64(i)*5000, "s=x")
			f.Tenant, f.User, f.EstMs, f.ReceivedMs, f.End = who[0], who[1], base+f.EstMs, base+f.ReceivedMs, i == 2
			proctest.Send(r, topics.Frames, f.Key(), f)
		}
	}
	got := proctest.Take(r, topics.Exposures)
	checkLedger(t, got)
	total := map[string]int64{}
	for _, e := range got {
		total[schemas.Key(e.Tenant, e.User)] = e.ExposedMs
	}
	if len(total) != 3 || total["acme/ann"] != 10_000 || total["acme/bob"] != 10_000 || total["other/ann"] != 10_000 {
		t.Errorf("totals %v", total)
	}
}

// A record under another user's key changes nobody; one that does not decode is an error for the dead letters.
func TestForeignRecordsMakeNoRow(t *testing.T) {
	r := proctest.New(t, Processor)
	proctest.Send(r, topics.Frames, "acme/bob", shot("p", 0, 0, "s=x"))
	if b := r.Row("acme/bob"); b != nil {
		t.Errorf("a row of %d bytes", len(b))
	}
	if err := r.SendBytes(topics.Frames.Name, "acme/bob", []byte{0xff}); err == nil {
		t.Error("broken bytes are taken")
	}
}

// A producer without the gateway sets no received time: the record's own stands in.
func TestRecordTimeStandsInForTheReceivedTime(t *testing.T) {
	r := proctest.New(t, Processor)
	sendRun(r, func(*schemas.Frame) {})
	want := proctest.Take(r, topics.Exposures)
	r = proctest.New(t, Processor)
	base := r.Now().UnixMilli() - day0
	for i := range uint32(7) {
		f := shot("p", i, int64(i)*5000, "s=x")
		r.Advance(time.UnixMilli(base + f.ReceivedMs).Sub(r.Now()))
		f.EstMs, f.ReceivedMs, f.End = base+f.EstMs, 0, i == 6
		proctest.Send(r, topics.Frames, f.Key(), f)
	}
	if a, b := ledger(t, want, true), ledger(t, proctest.Take(r, topics.Exposures), true); a != b {
		t.Errorf("with a received time:\n%s\nwithout:\n%s", a, b)
	}
}

func TestOnlyABadPolicyPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New took a policy that does not validate")
		}
	}()
	_ = New(Policy{})
}
