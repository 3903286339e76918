package exposure

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// vector is one log of the specification with what it must come to.
type vector struct {
	Log    []map[string]any `json:"log"`
	Expect map[string]struct {
		Fills  []wantFill `json:"fills"`
		Flags  []string   `json:"flags"`
		Closed bool       `json:"closed"`
	} `json:"expect"`
}

type wantFill struct {
	Fill       json.Number `json:"fill"`
	Exposed    int64       `json:"exposed"`
	Full       int64       `json:"full"`
	Engaged    int64       `json:"engaged"`
	MaxRun     int64       `json:"maxrun"`
	Tail       int64       `json:"tail"`
	Overlap    int64       `json:"overlap"`
	Viewable   bool        `json:"viewable"`
	ViewableCT *int64      `json:"viewable_ct"`
	BillableMS int64       `json:"billable_ms"`
	BillableS  int64       `json:"billable_s"`
}

func loadVectors(t *testing.T) map[string]vector {
	t.Helper()
	b, err := os.ReadFile("testdata/exposure_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 27 {
		t.Fatalf("%d vectors, want 27", len(all))
	}
	return all
}

// arrival is one record of a vector's log: a frame, or a tick when frame is nil.
type arrival struct {
	rt    int64
	frame *schemas.Frame
}

// arrivals parses a log as the gateway would, with server time counted from base.
func arrivals(t *testing.T, log []map[string]any, base int64) []arrival {
	t.Helper()
	var out []arrival
	for _, rec := range log {
		rt := base + int64(rec["rt"].(float64))
		if rec["t"] == "tick" {
			out = append(out, arrival{rt: rt})
			continue
		}
		rec = maps.Clone(rec)
		rec["v"], rec["est"] = 1, base+int64(rec["est"].(float64))
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		f, err := schemas.ParseFrame(b, "acme", rec["u"].(string), rt)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, arrival{rt, f})
	}
	return out
}

func TestVectorsComeOutToTheMillisecond(t *testing.T) {
	for name, v := range loadVectors(t) {
		t.Run(name, func(t *testing.T) {
			r := proctest.New(t, Processor)
			for _, a := range arrivals(t, v.Log, proctest.Start.UnixMilli()) {
				if d := time.UnixMilli(a.rt).Sub(r.Now()); d > 0 {
					r.Advance(d)
				}
				if a.frame != nil {
					proctest.Send(r, topics.Frames, a.frame.Key(), a.frame)
				}
			}
			v.check(t, proctest.Take(r, topics.Exposures))
		})
	}
}

// The machine itself, without record times and wakes, on the very numbers of the vectors.
func TestVectorsHoldOnTheBareMachine(t *testing.T) {
	m, err := NewMachine(DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range loadVectors(t) {
		t.Run(name, func(t *testing.T) {
			row, key := &schemas.ExposureRow{}, "acme/u"
			var got []*schemas.Exposure
			for _, a := range arrivals(t, v.Log, 0) {
				if a.frame == nil {
					got = append(got, m.Tick(row, key, schemas.Coordinates{}, a.rt)...)
					continue
				}
				entries, _ := m.Frame(row, key, schemas.Coordinates{}, a.frame)
				got = append(got, entries...)
			}
			v.check(t, got)
			if len(row.Views) != 0 {
				t.Errorf("%d page views are open after the log", len(row.Views))
			}
		})
	}
}

func (v vector) check(t *testing.T, entries []*schemas.Exposure) {
	t.Helper()
	checkLedger(t, entries)
	last, flags, fills := map[string]*schemas.Exposure{}, map[string]map[string]bool{}, 0
	for _, e := range entries {
		at := e.User + "/" + e.PageView + "/" + e.Slot
		if flags[at] == nil {
			flags[at] = map[string]bool{}
		}
		for _, f := range e.Flags {
			flags[at][f] = true
		}
		last[at+"/"+e.Fill] = e
	}
	for at, want := range v.Expect {
		got := slices.SortedFunc(maps.Keys(flags[at]), cmp.Compare[string])
		if slices.Sort(want.Flags); !slices.Equal(got, want.Flags) {
			t.Errorf("%s: flags %v, want %v", at, got, want.Flags)
		}
		for _, w := range want.Fills {
			fills++
			if e := last[at+"/"+w.Fill.String()]; e == nil {
				t.Errorf("%s: no entry for fill %s", at, w.Fill)
			} else {
				w.check(t, e, want.Closed)
			}
		}
	}
	if len(last) != fills {
		t.Errorf("entries for %s, want %d fills", strings.Join(slices.Sorted(maps.Keys(last)), " "), fills)
	}
}

func (w wantFill) check(t *testing.T, e *schemas.Exposure, closed bool) {
	t.Helper()
	got := wantFill{
		Fill: w.Fill, Exposed: e.ExposedMs, Full: e.FullMs, Engaged: e.EngagedMs, MaxRun: e.MaxRunMs, Tail: e.TailMs, Overlap: e.OverlapMs,
		Viewable: e.Viewable, ViewableCT: w.ViewableCT, BillableMS: w.BillableMS, BillableS: e.BillableS,
	}
	if got != w {
		t.Errorf("%s:\n got %+v\nwant %+v", e.Id, got, w)
	}
	if w.ViewableCT != nil && e.ViewableCtMs != *w.ViewableCT {
		t.Errorf("%s: viewable at ct %d, want %d", e.Id, e.ViewableCtMs, *w.ViewableCT)
	}
	if e.Closed != closed || e.BillableS != w.BillableMS/1000 {
		t.Errorf("%s: closed %t, billable %d s; want %t, %d ms", e.Id, e.Closed, e.BillableS, closed, w.BillableMS)
	}
}

// checkLedger demands what holds of every ledger: unique ids, n counting on, seconds that telescope,
// totals that never fall and fit together.
func checkLedger(t testing.TB, entries []*schemas.Exposure) {
	t.Helper()
	ids, last := map[string]bool{}, map[string]*schemas.Exposure{}
	for _, e := range entries {
		if id := e.Tenant + "/" + e.User + "/" + e.Id; ids[id] {
			t.Errorf("%s: the id is there twice", id)
		} else {
			ids[id] = true
		}
		at := strings.Join([]string{e.Tenant, e.User, e.PageView, e.Slot, e.Fill}, "\x00")
		b := last[at]
		if b == nil {
			b = &schemas.Exposure{N: e.N - 1}
		}
		last[at] = e
		switch {
		case e.N != b.N+1 || e.SecFrom != b.SecTo || e.SecTo < e.SecFrom:
			t.Errorf("%s: entry %d, seconds %d to %d; before it %d, %d to %d", e.Id, e.N, e.SecFrom, e.SecTo, b.N, b.SecFrom, b.SecTo)
		case e.SecTo != e.ExposedMs/1000:
			t.Errorf("%s: %d s of %d ms", e.Id, e.SecTo, e.ExposedMs)
		case e.ExposedMs < b.ExposedMs || e.FullMs < b.FullMs || e.EngagedMs < b.EngagedMs || e.TailMs < b.TailMs ||
			e.OverlapMs < b.OverlapMs || e.MaxRunMs < b.MaxRunMs || e.BillableS < b.BillableS || b.Viewable && !e.Viewable:
			t.Errorf("%s: a total falls:\n%v\n%v", e.Id, b, e)
		case e.FullMs > e.ExposedMs || e.EngagedMs > e.ExposedMs || e.MaxRunMs > e.ExposedMs || e.BillableS > e.SecTo || e.LastSeq < e.FirstSeq:
			t.Errorf("%s: totals do not fit: %v", e.Id, e)
		case b.Viewable && b.ViewableCtMs != e.ViewableCtMs:
			t.Errorf("%s: viewable at %d, then %d", e.Id, b.ViewableCtMs, e.ViewableCtMs)
		case !e.Closed && e.SecTo == e.SecFrom && e.Viewable == b.Viewable:
			t.Errorf("%s: says nothing new", e.Id)
		}
	}
}
