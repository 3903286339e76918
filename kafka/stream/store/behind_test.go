package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

func opened(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever is written now, later or after a restart, the store reads as a map would.
func TestRowsThatWaitAreReadAsIfTheyWereWritten(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		s, model, offset := opened(t, dir), map[string][]byte{}, int64(-1)
		for range 400 {
			var rows []Row
			for range r.IntN(4) {
				row := Row{Key: fmt.Append(nil, r.IntN(8)), Value: bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(3)*r.IntN(3))}
				if r.IntN(4) == 0 {
					row.Value = nil
				}
				rows = append(rows, row)
			}
			offset++
			write := s.Later
			again := true // the caller may use the rows again
			switch r.IntN(10) {
			case 0, 1:
				write = s.Apply
			case 2:
				write, again, s.bulk.most = s.Bulk, false, 600
			}
			if err := write(rows, offset); err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				delete(model, string(row.Key))
				if row.Value != nil {
					model[string(row.Key)] = bytes.Clone(row.Value)
				}
				if again {
					clear(row.Value)
				}
			}
			if r.IntN(50) == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = opened(t, dir)
			}
			if s.Offset() != offset {
				t.Fatalf("seed %d: offset %d, want %d", seed, s.Offset(), offset)
			}
			if r.IntN(2) == 0 {
				continue // reading must not be what keeps the order
			}
			k := fmt.Append(nil, r.IntN(8))
			want, there := model[string(k)]
			if got, err := s.Get(k); err != nil || (got != nil) != there || !bytes.Equal(got, want) {
				t.Fatalf("seed %d: row %s is %q %v, want %q", seed, k, got, err, want)
			}
		}
		seen := map[string][]byte{}
		if err := s.Each(func(k, v []byte) error { seen[string(k)] = bytes.Clone(v); return nil }); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(seen), fmt.Sprint(model); got != want {
			t.Errorf("seed %d: %s, want %s", seed, got, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killed is what a start after a kill -9 at this moment would find.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s := opened(t, to)
	defer s.Close()
	return content(t, s)
}

// kept checks what a kill would leave once the system has what was written.
func kept(t *testing.T, s *Store, dir, want string) {
	t.Helper()
	if err := s.rows.(*disk).db.LogData(nil, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if got := killed(t, dir); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestKillLosesRowsAndOffsetTogether(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	defer s.Close()
	put(t, s, 3, "ann", "1")
	if err := s.Later([]Row{{Key: []byte("bob"), Value: []byte("22")}}, 4); err != nil {
		t.Fatal(err)
	}
	kept(t, s, dir, "1 rows, sum 6, offset 3")
	big := bytes.Repeat([]byte("x"), behindBytes)
	if err := s.Later([]Row{{Key: []byte("cid"), Value: big}}, 5); err != nil {
		t.Fatal(err)
	}
	kept(t, s, dir, fmt.Sprintf("3 rows, sum %d, offset 5", 6+9+3*(behindBytes+1)))
	if err := s.Bulk([]Row{{Key: []byte("dan"), Value: []byte("1")}}, 6); err != nil {
		t.Fatal(err)
	}
	if err := s.Later([]Row{{Key: []byte("bob")}}, 7); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get([]byte("dan")); err != nil || string(v) != "1" {
		t.Fatalf("dan is %q %v", v, err)
	}
	kept(t, s, dir, fmt.Sprintf("4 rows, sum %d, offset 6", 6+6+9+3*(behindBytes+1)))
	if err := s.Reset([16]byte{1}); err != nil {
		t.Fatal(err)
	}
	kept(t, s, dir, "0 rows, sum 0, offset -1")
}
