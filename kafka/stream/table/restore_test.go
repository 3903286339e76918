package table

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/schemas"
)

// control is what a marker looks like to a consumer.
func control(offset int64) *kgo.Record {
	r := &kgo.Record{Key: []byte{0, 0, 0, 1}, Value: []byte("marker"), Offset: offset}
	r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})
	return r
}

// changes are records of a table at offsets from on, the last of them a marker; model follows them.
func changes(t *testing.T, r *rand.Rand, from int64, size int, rows map[string]string, wakes map[string]int64) []*kgo.Record {
	t.Helper()
	var recs []*kgo.Record
	for i := range 1 + r.IntN(20) {
		key := fmt.Sprint("user-", r.IntN(40))
		delete(wakes, key)
		out := &kgo.Record{Key: []byte(key), Offset: from + int64(i)}
		if r.IntN(5) == 0 {
			delete(rows, key)
		} else {
			row := schemas.Row{TimeMs: 1, State: bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(size))}
			if r.IntN(3) == 0 {
				row.WakeMs = 1 + r.Int64N(1e9)
				wakes[key] = row.WakeMs
			}
			var err error
			if out.Value, err = row.MarshalVT(); err != nil {
				t.Fatal(err)
			}
			rows[key] = string(out.Value)
		}
		recs = append(recs, out)
	}
	return append(recs, control(from+int64(len(recs))))
}

func (p *Partition) stored(t *testing.T) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := p.store.Each(func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// Whatever the batches hold, wherever the partition is given away between them, and whether a standby reads
// them or who recovers: rows and deadlines are those of the topic.
func TestRestoredRowsAreTheTopics(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 9))
		dir, rows, wakes, next := t.TempDir(), map[string]string{}, map[string]int64{}, int64(0)
		open := func() *Partition {
			s, err := store.Open(dir, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			p := New(shared(time.Now), 0, s)
			p.Expect(next + r.Int64N(200))
			return p
		}
		p := open()
		for range 40 {
			write := p.Restore
			if r.IntN(3) == 0 {
				write = p.Follow
			}
			recs := changes(t, r, next, 60_000, rows, wakes)
			if r.IntN(6) == 0 {
				next += 3 // compaction took some, and the marker with them
				recs = recs[:len(recs)-1]
			}
			next += int64(len(recs))
			if err := write(recs, next-1); err != nil {
				t.Fatal(err)
			}
			if p.Offset() != next-1 {
				t.Fatalf("seed %d: offset %d, want %d", seed, p.Offset(), next-1)
			}
			if seed%2 == 0 && r.IntN(8) == 0 { // else the first one keeps its index
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				p = open()
			}
		}
		if err := p.Ready(); err != nil {
			t.Fatal(err)
		}
		if got := p.stored(t); !maps.Equal(got, rows) {
			t.Fatalf("seed %d: %d rows are not the topic's %d", seed, len(got), len(rows))
		}
		due := map[string]int64{}
		for k, d := range p.deadlines.byKey {
			due[k] = d.ms
		}
		if !maps.Equal(due, wakes) {
			t.Fatalf("seed %d: deadlines %v, want %v", seed, due, wakes)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Ready leaves nothing in memory that a kill would take: else each kill would cost the same reading again.
func TestReadyWritesWhatWasRead(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := New(shared(time.Now), 0, s)
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 1))
	rows, wakes, next := map[string]string{}, map[string]int64{}, int64(0)
	for range 8 { // about 2 MB: worth a table, but no full one
		recs := changes(t, r, next, 60_000, rows, wakes)
		next += int64(len(recs))
		if err := p.Restore(recs, next-1); err != nil {
			t.Fatal(err)
		}
	}
	after := func() int64 {
		t.Helper()
		image := t.TempDir()
		if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(image, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.Offset()
	}
	if at := after(); at != -1 {
		t.Errorf("before: a kill leaves offset %d, want -1", at)
	}
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	if at := after(); at != next-1 {
		t.Errorf("a kill leaves offset %d, want %d", at, next-1)
	}
}
