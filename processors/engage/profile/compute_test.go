package profile

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/internal/seedtest"
	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/schemas"
)

func field(t testing.TB, name string) predicate.Field {
	t.Helper()
	f, err := predicate.ParseField(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func definition(t testing.TB, of Function, over time.Duration) *Definition {
	t.Helper()
	d := &Definition{Name: string(of), Event: "bet", Of: of, Over: over}
	if needs, _ := of.Field(); needs || of == Decayed {
		d.Field = field(t, "event.v")
	}
	if of == Decayed {
		d.HalfLife = 90 * time.Minute
	}
	d.Ready()
	return d
}

// raw is one event of the brute force.
type raw struct {
	ms, arrived int64
	v           int
}

// brute is the value over all raw events: those in the pane of now and in the Panes()-1 before it. An
// event that came when its pane had left the window is not there.
func brute(d *Definition, all []raw, now int64) (any, bool) {
	var in []raw
	for _, e := range all {
		e.ms = min(e.ms, e.arrived)
		since := func(ms int64) int64 { return ms/max(1, d.Pane.Milliseconds()) - d.Panes() + 1 }
		if d.Over == 0 || e.ms/d.Pane.Milliseconds() >= since(e.arrived) && e.ms/d.Pane.Milliseconds() >= since(now) {
			in = append(in, e)
		}
	}
	values, days, total, decayed := map[int]bool{}, map[int64]bool{}, 0, 0.0
	for _, e := range in {
		values[e.v], days[e.ms/day.Milliseconds()] = true, true
		total += e.v
		if d.Of == Decayed {
			decayed += float64(e.v) * math.Exp2(-float64(now-e.ms)/float64(d.HalfLife.Milliseconds()))
		}
	}
	switch d.Of {
	case Count:
		return int64(len(in)), true
	case Sum:
		return float64(total), true
	case Distinct:
		return int64(len(values)), true
	case DaysActive:
		return int64(len(days)), true
	case Decayed:
		return decayed, true
	default: // needs an event
	}
	if len(in) == 0 {
		return nil, false
	}
	first, last, least, most := in[0], in[0], in[0].v, in[0].v
	for _, e := range in {
		least, most = min(least, e.v), max(most, e.v)
		if e.ms < first.ms {
			first = e
		}
		if e.ms >= last.ms {
			last = e
		}
	}
	return map[Function]any{
		Min: float64(least), Max: float64(most), Avg: float64(total) / float64(len(in)), First: int64(first.v), Last: int64(last.v),
		FirstSeen: first.ms, LastSeen: last.ms, SinceFirst: (now - first.ms) / 1000, SinceLast: (now - last.ms) / 1000,
	}[d.Of], true
}

func near(a, b any) bool {
	x, ok := a.(float64)
	y, fine := b.(float64)
	return ok && fine && math.Abs(x-y) <= 1e-9*max(1, math.Abs(y)) || a == b
}

// Random events, late, ahead and in bursts, against all raw events, for every function and window,
// through the encoding of a row now and then.
func TestComputedTraitsAreWhatAllEventsSay(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	windows := []time.Duration{0, time.Minute, time.Hour, 25 * time.Hour, 7 * day}
	values := 0
	for round := range 1_500 {
		of := Functions()[round%len(Functions())]
		over := windows[r.IntN(len(windows))]
		switch {
		case !of.Windowed():
			over = 0
		case of == DaysActive && over < day:
			over = 3 * day
		}
		d := definition(t, of, over)
		p := &schemas.ProfileState{}
		span := over.Milliseconds()
		if span == 0 {
			span = day.Milliseconds()
		}
		now := int64(1_767_225_600_000)
		var all []raw
		for range 60 {
			now += r.Int64N(span/10 + 1)
			e := raw{ms: now, arrived: now, v: r.IntN(9) - 3}
			switch r.IntN(5) {
			case 0:
				e.ms -= r.Int64N(span*3/2 + 1) // late, maybe too late
			case 1:
				e.ms += r.Int64N(span + 1) // ahead
			}
			all = append(all, e)
			d.Compute(p, predicate.NewProperties(fmt.Appendf(nil, `{"v": %d}`, e.v)), e.ms, e.arrived)
			if r.IntN(4) == 0 {
				p = again(t, p)
			}
			if r.IntN(6) == 0 { // a while without an event
				now += r.Int64N(span)
			}
			got, ok := d.Value(p, now)
			want, there := brute(d, all, now)
			if ok != there || ok && !near(got, want) {
				t.Fatalf("round %d: %s over %s is %v %v, want %v %v\nof %v\n%v", round, of, over, got, ok, want, there, all, p)
			}
			if ok && got != int64(0) {
				values++
			}
			if len(p.Computed) > 0 && of != Distinct && d.Panes() > 0 && int64(len(p.Computed[0].Offsets)) > d.Panes() {
				t.Fatalf("%s over %s keeps %d panes of %d", of, over, len(p.Computed[0].Offsets), d.Panes())
			}
		}
	}
	if values < 50_000 {
		t.Errorf("only %d values were there: the cases prove little", values)
	}
}

// again sends a state through its encoding.
func again(t testing.TB, p *schemas.ProfileState) *schemas.ProfileState {
	t.Helper()
	b, err := p.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	next := &schemas.ProfileState{}
	if err := next.UnmarshalVT(b); err != nil {
		t.Fatal(err)
	}
	if err := Check(next); err != nil {
		t.Fatal(err)
	}
	return next
}

func TestManyValuesAreCountedAboutRight(t *testing.T) {
	d := definition(t, Distinct, 7*day)
	p := &schemas.ProfileState{}
	now := int64(1_767_225_600_000)
	squares, checks := 0.0, 0
	for i := range 100_000 {
		d.Compute(p, predicate.NewProperties(fmt.Appendf(nil, `{"v": "user %d"}`, i)), now, now)
		got, _ := d.Value(p, now)
		n := float64(i + 1)
		if i < MaxDistinct && got != int64(i+1) {
			t.Fatalf("%d values are counted as %v", i+1, got)
		}
		off := (float64(got.(int64)) - n) / n
		if math.Abs(off) > 0.55 { // five times the standard error
			t.Fatalf("%d values are counted as %v", i+1, got)
		}
		if i%1000 == 999 {
			squares, checks = squares+off*off, checks+1
		}
	}
	if e := math.Sqrt(squares / float64(checks)); e > 0.22 {
		t.Errorf("the error is %.2f", e)
	}
	if n := p.SizeVT(); n > 1300 {
		t.Errorf("it takes %d bytes", n)
	}
	now += 8 * day.Milliseconds()
	if got, _ := d.Value(p, now); got != int64(0) {
		t.Errorf("after the window it counts %v", got)
	}
	d.Compute(p, predicate.NewProperties([]byte(`{"v": 1}`)), now, now)
	if got, _ := d.Value(p, now); got != int64(1) {
		t.Errorf("one value is counted as %v", got)
	}
}

func TestAnotherDefinitionStartsAfresh(t *testing.T) {
	one := definition(t, Sum, time.Hour)
	p, now := &schemas.ProfileState{}, int64(1_767_225_600_000)
	props := predicate.NewProperties([]byte(`{"v": 7, "w": "long"}`))
	one.Compute(p, props, now, now)
	for name, change := range map[string]func(*Definition){
		"name": func(d *Definition) { d.Name = "b" }, "event": func(d *Definition) { d.Event = "b" }, "over": func(d *Definition) { d.Over = 2 * time.Hour },
		"pane": func(d *Definition) { d.Pane = 10 * time.Second }, "field": func(d *Definition) { d.Field = field(t, "event.w") }, "function": func(d *Definition) { d.Of = Max },
		"half-life": func(d *Definition) { d.HalfLife = time.Hour },
		"where":     func(d *Definition) { d.Where, _ = predicate.Compile("event.v > 1") },
	} {
		d := *one
		change(&d)
		d.Ready()
		if d.ID == one.ID {
			t.Errorf("another %s is the same definition", name)
		}
		if v, ok := d.Value(p, now); ok && v != 0.0 {
			t.Errorf("another %s begins with %v", name, v)
		}
	}
	if d := *one; one.ID != func() uint64 { d.Ready(); return d.ID }() {
		t.Error("the same definition is another")
	}
	Rest(p, func(uint64) *Definition { return nil }, now)
	if !Empty(p) {
		t.Errorf("what is declared no more is kept: %v", p)
	}
}

func TestOnlyEventsWithTheFieldCount(t *testing.T) {
	now := int64(1_767_225_600_000)
	for _, of := range Functions() {
		d := definition(t, of, 0)
		d.Where, _ = predicate.Compile(`event.yes`)
		d.Ready()
		needs, _ := of.Field()
		for props, counts := range map[string]bool{
			`{"yes": true, "v": 3}`: true, `{"yes": false, "v": 3}`: false, `{"v": 3}`: false, ``: false,
			`{"yes": true}`: !needs && of != Decayed, `{"yes": true, "v": [1]}`: !needs && of != Decayed,
		} {
			p := &schemas.ProfileState{}
			if got := d.Compute(p, predicate.NewProperties([]byte(props)), now, now); got != counts || got == Empty(p) {
				t.Errorf("%s of %s counts: %v", of, props, got)
			}
		}
	}
	long := predicate.NewProperties(fmt.Appendf(nil, `{"v": %q}`, bytes.Repeat([]byte("x"), MaxValueBytes)))
	if definition(t, Last, 0).Compute(&schemas.ProfileState{}, long, now, now) {
		t.Error("a long value is kept")
	}
}

// A user with 20 audiences and 20 computed traits, after a year of events.
func TestARowStaysSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(seedtest.Draw(t), 0))
	p, now := &schemas.ProfileState{}, int64(1_767_225_600_000)
	var all []*Definition
	for i := range 20 {
		of := []Function{Count, Sum, Avg, Last, DaysActive, Max, Decayed, LastSeen, FirstSeen, Distinct}[i%10]
		d := definition(t, of, 0)
		if of.Windowed() {
			d.Over = []time.Duration{day, 7 * day, 30 * day}[i%3]
		}
		d.Name = fmt.Sprint(of, i)
		d.Ready()
		all = append(all, d)
		Join(p, fmt.Sprint("audience", i), now)
		Learn(p, fmt.Appendf(nil, `{"trait%d": "some text"}`, i), func(string) bool { return true })
	}
	usual := 0
	for i := range 5_000 {
		now += r.Int64N(2 * time.Hour.Milliseconds())
		for _, d := range all {
			d.Compute(p, predicate.NewProperties(fmt.Appendf(nil, `{"v": %d}`, r.IntN(30))), now, now)
		}
		if i == 50 {
			usual = p.SizeVT()
		}
	}
	p = again(t, p)
	t.Logf("20 audiences, 20 traits and 20 computed traits: %d bytes after 50 events, %d after 5,000", usual, p.SizeVT())
	if n := p.SizeVT(); n > 6<<10 {
		t.Errorf("%d bytes", n)
	}
}

func FuzzState(f *testing.F) {
	p := &schemas.ProfileState{}
	for _, of := range Functions() {
		d := definition(f, of, 0)
		if of.Windowed() {
			d.Over = 3 * day
		}
		d.Ready()
		for ms := range int64(3) {
			d.Compute(p, predicate.NewProperties([]byte(`{"v": 1}`)), ms*day.Milliseconds(), ms*day.Milliseconds())
		}
	}
	Join(p, "vip", 7)
	Learn(p, []byte(`{"country": "GB"}`), func(string) bool { return true })
	b, err := p.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, int64(1))
	f.Add([]byte(nil), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		p := &schemas.ProfileState{}
		if p.UnmarshalVT(bytes.Clone(b)) != nil || Check(p) != nil {
			return
		}
		for _, of := range Functions() { // whatever is there, for whatever it was
			d := definition(t, of, 0)
			for i := range p.Computed {
				d.ID = p.Computed[i].Definition
				d.Value(p, now)
				q := again(t, p)
				d.Compute(q, predicate.NewProperties([]byte(`{"v": 1}`)), now, max(0, now))
			}
		}
		Leave(p, func(uint64) int64 { return now })
		if !slices.IsSorted(p.ListIds) {
			t.Fatal("lists out of order")
		}
	})
}
