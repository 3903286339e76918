package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// placed is a record with where it lies.
type placed struct {
	record
	at schemas.Coordinates
}

// records are those of a run of n events, the same each time.
func records(t testing.TB, plans []Plan, n, users int) []placed {
	t.Helper()
	f := input{plans: plans, n: n, users: users, partitions: 8, from: 1_700_000_000_000}.feed()
	all := make([]placed, 0, n)
	for {
		r, offset, ok, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, placed{r, schemas.Coordinates{Topic: topics.Events.Name, Partition: r.partition, Offset: offset}})
	}
}

// BenchmarkStep is what the processor alone does with one event, on warm rows and on those of new users
// as the workload mixes them. Read allocs/step; the time is the machine's.
func BenchmarkStep(b *testing.B) {
	plans := Plans()
	all := records(b, plans, 200_000, 100_000)
	var cpu time.Duration
	var allocs, bytes uint64
	steps := 0
	for range b.N {
		b.StopTimer()
		a, err := newAlone(plans)
		if err != nil {
			b.Fatal(err)
		}
		before, allocsBefore, bytesBefore := used()
		b.StartTimer()
		for i := range all {
			if _, err := a.step(all[i].key, all[i].at, all[i].ms, all[i].value); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		after, allocsAfter, bytesAfter := used()
		cpu, allocs, bytes, steps = cpu+after-before, allocs+allocsAfter-allocsBefore, bytes+bytesAfter-bytesBefore, steps+len(all)
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(steps), "cpu-ns/step")
	b.ReportMetric(float64(allocs)/float64(steps), "allocs/step")
	b.ReportMetric(float64(bytes)/float64(steps), "B/step")
}

// digest is a hash of all that comes out of a run and of all rows that it leaves; with fresh, each step has
// a Call of its own.
func digest(t *testing.T, all []placed, plans []Plan, fresh bool) string {
	t.Helper()
	a, err := newAlone(plans)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	put := func(b []byte) {
		_, _ = h.Write(append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)) // never fails
	}
	for i := range all {
		if fresh {
			a.call = processors.Call{}
		}
		out, err := a.step(all[i].key, all[i].at, all[i].ms, all[i].value)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out {
			put([]byte(e.Topic.Name + "\x00" + e.Key))
			if e.Item == nil {
				put(e.Value)
				continue
			}
			packed, err := e.Topic.Pack([]any{e.Item})
			if err != nil {
				t.Fatal(err)
			}
			put(packed[0])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.rows)) {
		b, err := processors.State[schemas.EngageRow](a.rows[key]).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		put([]byte(key))
		put(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestRowsWakeInTime holds each row's deadline against what waits in it: it is never later.
func TestRowsWakeInTime(t *testing.T) {
	plans := Plans()
	a, err := newAlone(plans)
	if err != nil {
		t.Fatal(err)
	}
	waited := 0
	for _, r := range records(t, plans, 60_000, 2_000) {
		if _, err := a.step(r.key, r.at, r.ms, r.value); err != nil {
			t.Fatal(err)
		}
		row := a.rows[r.key]
		state := processors.State[schemas.EngageRow](row)
		wake := a.def.WakeMS(row)
		for _, p := range state.Triggers {
			if p.DueMs != 0 && wake > max(p.DueMs, r.ms+1) {
				t.Fatalf("%s wakes at %d, %s is due at %d", r.key, wake, p.Campaign, p.DueMs)
			}
			waited += int(min(p.DueMs, 1))
		}
		for _, p := range state.Gates.GetPending() {
			if wake > max(p.DueMs, r.ms+1) {
				t.Fatalf("%s wakes at %d, a response of %s is due at %d", r.key, wake, p.Campaign, p.DueMs)
			}
		}
	}
	if waited < 1000 {
		t.Errorf("only %d absences waited", waited)
	}
}

// TestNothingOfOneStepIsLeftForTheNext steps the same events with a Call for all steps, which is used
// again with all that it keeps, and with a new one for each.
func TestNothingOfOneStepIsLeftForTheNext(t *testing.T) {
	plans := Plans()
	all := records(t, plans, 20_000, 500)
	if one, many := digest(t, all, plans, false), digest(t, all, plans, true); one != many {
		t.Errorf("with one call for all steps %s comes out, with one for each %s", one, many)
	}
}
