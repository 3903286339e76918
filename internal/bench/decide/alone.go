package decide

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/processors/engage/campaign"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// alone is the processor without a broker: rows are kept decoded in a map.
type alone struct {
	def   *processors.Def
	views []any
	rows  map[string]any
	call  processors.Call
}

func newAlone(plans []Plan) (*alone, error) {
	if _, err := parse(plans); err != nil {
		return nil, err
	}
	a := &alone{def: engage.Processor, rows: map[string]any{}}
	for _, w := range a.def.Whole {
		view := w.Zero()
		for _, d := range declarations(plans) {
			if w.Topic() != topics.Declarations.Spec {
				break
			}
			b, err := topics.Declarations.Codec.Append(nil, d)
			if err == nil {
				view, err = w.Fold(view, declarationKey(d), b)
			}
			if err != nil {
				return nil, fmt.Errorf("declare %s: %w", d.Name, err)
			}
		}
		if c, ok := view.(*engage.Catalog); ok && len(c.Faults()) > 0 {
			return nil, c.Faults()[0].Err
		}
		a.views = append(a.views, view)
	}
	return a, nil
}

func declarations(plans []Plan) []*schemas.Declaration {
	var all []*schemas.Declaration
	for _, p := range plans {
		all = append(all, &schemas.Declaration{Kind: engage.Kind, Tenant: tenant, Name: p.Name, Version: "1", Source: []byte(p.Source), File: p.Name + ".yaml"})
	}
	for name, source := range traits(plans) {
		all = append(all, &schemas.Declaration{Kind: campaign.TraitKind, Tenant: tenant, Name: name, Version: "1", Source: []byte(source), File: name + ".yaml"})
	}
	return all
}

func declarationKey(d *schemas.Declaration) string { return d.Kind + "/" + d.Tenant + "/" + d.Name }

// step takes one record of events, or wakes a row when value is nil, and returns what came out; good
// until the next step.
func (a *alone) step(key string, at schemas.Coordinates, ms int64, value []byte) ([]processors.Emission, error) {
	c := &a.call
	c.Key, c.NowMS, c.At, c.Value, c.Row, c.Changed, c.Views, c.Out = key, ms, at, value, a.rows[key], false, a.views, c.Out[:0]
	var err error
	if value == nil {
		err = a.def.Wake(c)
	} else {
		err = a.def.Step(0, c)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("step %s: %w", at, err)
	case c.Row == nil:
		delete(a.rows, key)
	case c.Changed:
		a.rows[key] = c.Row
	}
	return c.Out, nil
}

// perChunk is how many records are made before they are stepped, so that making them costs no time
// that is measured.
const perChunk = 50_000

// alone steps all records and says what that cost, and what must come out of any run over them.
func (in input) alone(ctx context.Context, profiles string) (*Report, *outcome, error) {
	a, err := newAlone(in.plans)
	if err != nil {
		return nil, nil, err
	}
	if engage.Processor.Inputs[0] != topics.Events.Spec {
		return nil, nil, fmt.Errorf("the first input of engage is %s, not events", engage.Processor.Inputs[0].Name)
	}
	prof, err := profile(profiles, "alone")
	if err != nil {
		return nil, nil, err
	}
	want := &outcome{verdicts: map[string]int64{}, untilMS: in.from + int64(in.n)*eventEveryMS}
	r := &Report{Events: in.n, Campaigns: len(in.plans), Users: in.users}
	f := in.feed()
	var cpu time.Duration
	var allocs, bytes uint64
	for more := true; more && ctx.Err() == nil; {
		var spent time.Duration
		var n, b uint64
		if more, spent, n, b, err = a.chunk(f, want); err != nil {
			return nil, nil, err
		}
		cpu, allocs, bytes = cpu+spent, allocs+n, bytes+b
	}
	if err := prof(); err != nil || ctx.Err() != nil {
		return nil, nil, cmp.Or(err, context.Cause(ctx))
	}
	r.StepsPerCPUSecond = float64(in.n) / max(cpu.Seconds(), 1e-9)
	r.AllocsPerStep, r.BytesPerStep = float64(allocs)/float64(in.n), float64(bytes)/float64(in.n)
	r.Seen = len(a.rows)
	for key := range a.rows {
		if err := a.wake(key, want); err != nil {
			return nil, nil, err
		}
	}
	if r.Rows, err = a.sizes(); err != nil {
		return nil, nil, err
	}
	if r.TouchedRows, err = in.touched(); err != nil {
		return nil, nil, err
	}
	r.Verdicts = want.verdicts
	a.rows = nil
	debug.FreeOSMemory()
	return r, want, nil
}

// chunk makes some records, then steps them; false: there are no more.
func (a *alone) chunk(f *feed, want *outcome) (more bool, cpu time.Duration, allocs, bytes uint64, err error) {
	type placed struct {
		record
		at schemas.Coordinates
	}
	batch := make([]placed, 0, perChunk)
	for len(batch) < perChunk {
		r, offset, ok, err := f.next()
		if err != nil {
			return false, 0, 0, 0, err
		}
		if !ok {
			break
		}
		batch = append(batch, placed{r, schemas.Coordinates{Topic: topics.Events.Name, Partition: r.partition, Offset: offset}})
	}
	out := make([]processors.Emission, 0, perChunk*2)
	before, allocsBefore, bytesBefore := used()
	for i := range batch {
		r := &batch[i]
		emitted, err := a.step(r.key, r.at, r.ms, r.value)
		if err != nil {
			return false, 0, 0, 0, err
		}
		out = append(out, emitted...)
	}
	after, allocsAfter, bytesAfter := used()
	return len(batch) == perChunk, after - before, allocsAfter - allocsBefore, bytesAfter - bytesBefore, want.take(out)
}

// wake lets a row come to the end of the input.
func (a *alone) wake(key string, want *outcome) error {
	out, err := a.step(key, schemas.Coordinates{}, want.untilMS, nil)
	if err != nil {
		return err
	}
	return want.take(out)
}

// sizes are those of all rows as they are stored.
func (a *alone) sizes() (Sizes, error) {
	sizes := make([]int, 0, len(a.rows))
	var buf []byte
	for key, row := range a.rows {
		b, err := a.def.AppendRow(buf[:0], row)
		if err != nil {
			return Sizes{}, fmt.Errorf("encode the row of %s: %w", key, err)
		}
		buf = b
		sizes = append(sizes, len(b))
	}
	slices.Sort(sizes)
	return sizesOf(sizes), nil
}

// touchers is how many users send the first event of every campaign.
const touchers = 300

// touched are the sizes of rows in which every campaign has a place: each user sends the first event of
// each campaign once, a second apart, in an order of its own, and each counts for whatever reads it.
func (in input) touched() (Sizes, error) {
	a, err := newAlone(in.plans)
	if err != nil {
		return Sizes{}, err
	}
	r := rand.New(rand.NewPCG(3, 4))
	for u := range touchers {
		for i, k := range r.Perm(len(in.plans)) {
			ms := in.from + int64(i)*1000
			rec, err := in.event("toucher-"+strconv.Itoa(u), uuid(r.Uint64(), r.Uint64()), in.plans[k].Events[0], ms, ms, `{"amount":50.5,"result":"win"}`)
			if err != nil {
				return Sizes{}, err
			}
			if _, err := a.step(rec.key, schemas.Coordinates{Topic: topics.Events.Name, Offset: int64(i)}, ms, rec.value); err != nil {
				return Sizes{}, err
			}
		}
	}
	for key, row := range a.rows {
		if n := len(processors.State[schemas.EngageRow](row).Triggers); n != len(in.plans) {
			return Sizes{}, fmt.Errorf("the row of %s knows %d campaigns, not %d", key, n, len(in.plans))
		}
	}
	return a.sizes()
}
