package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// batch is what a topic of the test holds at some offsets: rows that come again and go, then a marker.
func batch(from int64) (rows []Row, last int64) {
	r := rand.New(rand.NewPCG(uint64(from), 7))
	for range 50 {
		row := Row{Key: fmt.Appendf(nil, "tenant-%d/user-%d", r.IntN(3), r.IntN(200)), Value: bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(200))}
		if r.IntN(8) == 0 {
			row.Value = nil
		}
		rows = append(rows, row)
	}
	return rows, from + 50
}

// topic is the content of the topic up to an offset, -1 for nothing.
func topic(t *testing.T, offset int64) string {
	t.Helper()
	m := Memory()
	for m.Offset() < offset {
		if err := m.Apply(batch(m.Offset() + 1)); err != nil {
			t.Fatal(err)
		}
	}
	return whole(t, m)
}

// whole is every row and the offset.
func whole(t *testing.T, s *Store) string {
	t.Helper()
	var all []string
	if err := s.Each(func(k, v []byte) error { all = append(all, fmt.Sprintf("%s=%x", k, v)); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return fmt.Sprintf("%d rows up to %d: %s", len(all), s.Offset(), strings.Join(all, " "))
}

func tables(s *Store) int64 { return int64(s.rows.(*disk).db.Metrics().Ingest.Count) }

// bulked opens a store that makes a table of few rows.
func bulked(t *testing.T, dir string) *Store {
	t.Helper()
	s := opened(t, dir)
	s.bulk.most = 20_000
	return s
}

// goOn writes batches as a recovery does.
func goOn(t *testing.T, s *Store, batches int) {
	t.Helper()
	for range batches {
		if err := s.Bulk(batch(s.Offset() + 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever reads after a bulk, or in the middle of it, finds the rows of the topic, the last of each key.
func TestBulkReadsAsTheTopicDoes(t *testing.T) {
	dir := t.TempDir()
	s := bulked(t, dir)
	for round, batches := range []int{1, 3, 8, 25, 2} {
		goOn(t, s, batches)
		if round%2 == 1 { // else in memory still, or partly
			if err := s.Settle(); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := whole(t, s), topic(t, s.Offset()); got != want {
			t.Fatalf("round %d: %s, want %s", round, got, want)
		}
		goOn(t, s, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = bulked(t, dir)
	}
	if got, want := whole(t, s), topic(t, 44*51-1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	goOn(t, s, 1)
	if err := s.Reset([16]byte{1}); err != nil {
		t.Fatal(err)
	}
	if got, want := whole(t, s), topic(t, -1); got != want {
		t.Errorf("emptied: %s, want %s", got, want)
	}
	goOn(t, s, 9)
	if got, want := whole(t, s), topic(t, 9*51-1); got != want {
		t.Errorf("filled again: %s, want %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Few rows are not worth a table; many are, and an offset without rows goes with either.
func TestBulkMakesFewTables(t *testing.T) {
	s := bulked(t, t.TempDir())
	defer s.Close()
	goOn(t, s, 40) // about 6 KB each
	if n := tables(s); n < 8 || n > 16 {
		t.Errorf("%d tables of 40 batches", n)
	}
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	before := tables(s)
	for _, rows := range [][]Row{{{Key: []byte("ann"), Value: []byte("1")}}, nil} {
		if err := s.Bulk(rows, s.Offset()+1); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	if n := tables(s); n != before {
		t.Errorf("%d tables for one row and none", n-before)
	}
	if s.bulk.rows != nil {
		t.Error("the memory was not given back")
	}
}

// A level that has too many tables gets batches: they wait for pebble to merge some.
func TestBulkWaitsWhereTablesCrowd(t *testing.T) {
	s := bulked(t, t.TempDir())
	defer s.Close()
	s.rows.(*disk).crowded = 0
	goOn(t, s, 20)
	if n := tables(s); n != 0 {
		t.Errorf("%d tables were ingested", n)
	}
	if got, want := whole(t, s), topic(t, s.Offset()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What a disk refuses is an error; the rows wait, and the offset on the disk stays with the rows there.
func TestBulkThatCannotBeWrittenWaits(t *testing.T) {
	dir := t.TempDir()
	s := bulked(t, dir)
	goOn(t, s, 10)
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	was := s.Offset()
	obstacle := filepath.Join(dir, tableName, "x")
	if err := os.MkdirAll(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 10 {
		if err = s.Bulk(batch(s.Offset() + 1)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "rows to the local store: write a table") {
		t.Fatalf("Bulk: %v", err)
	}
	if _, err := s.Get([]byte("ann")); err == nil {
		t.Error("Get found a row while older ones wait")
	}
	if err := os.RemoveAll(filepath.Join(dir, tableName)); err != nil {
		t.Fatal(err)
	}
	image := t.TempDir()
	if err := s.rows.(*disk).db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	killed := opened(t, image)
	if got, want := whole(t, killed), topic(t, was); got != want {
		t.Errorf("after a kill %s, want %s", got, want)
	}
	if err := killed.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil { // tries again
		t.Fatal(err)
	}
	s = opened(t, dir)
	if got, want := whole(t, s), topic(t, s.Offset()); got != want || s.Offset() <= was {
		t.Errorf("%s, want %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A kill may come after pebble took a table and before its first name was deleted: both names are of one
// file, and the next table must not be written into it.
func TestTableThatAKillLeftIsNotWrittenTo(t *testing.T) {
	dir := t.TempDir()
	s := bulked(t, dir)
	goOn(t, s, 8)
	found, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(found) == 0 {
		t.Fatalf("tables: %v %v", found, err)
	}
	left := filepath.Join(dir, tableName)
	if err := os.Link(found[0], left); err != nil {
		t.Fatal(err)
	}
	goOn(t, s, 8)
	if got, want := whole(t, s), topic(t, s.Offset()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := os.WriteFile(left, []byte("part of a table"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, dir)
	defer s.Close()
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the file that was left: %v", err)
	}
	if got, want := whole(t, s), topic(t, s.Offset()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSortedIsTheLastRowOfEachKey(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		var b bulk
		last := map[string]string{}
		prefix := strings.Repeat("p", r.IntN(20))
		for i := range r.IntN(60) {
			key := prefix
			for range r.IntN(12) {
				key += string(rune("\x00ab\xff"[r.IntN(4)]))
			}
			last[key] = fmt.Sprint(i)
			b.add([]Row{{Key: []byte(key), Value: fmt.Append(nil, i)}})
		}
		got := b.sorted()
		if len(got) != len(last) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(last))
		}
		for i, row := range got {
			if last[string(row.Key)] != string(row.Value) {
				t.Fatalf("seed %d: %q is %s, want %s", seed, row.Key, row.Value, last[string(row.Key)])
			}
			if i > 0 && bytes.Compare(got[i-1].Key, row.Key) >= 0 {
				t.Fatalf("seed %d: %q before %q", seed, got[i-1].Key, row.Key)
			}
		}
	}
}
