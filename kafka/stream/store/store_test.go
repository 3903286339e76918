package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func put(t *testing.T, s *Store, offset int64, kv ...string) {
	t.Helper()
	var rows []Row
	for i := 0; i < len(kv); i += 2 {
		r := Row{Key: []byte(kv[i]), Value: []byte(kv[i+1])}
		if kv[i+1] == "-" {
			r.Value = nil
		}
		rows = append(rows, r)
	}
	if err := s.Apply(rows, offset); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, s *Store) string {
	t.Helper()
	n, sum := 0, 0
	if err := s.Each(func(k, v []byte) error {
		got, err := s.Get(k)
		if err != nil || !bytes.Equal(got, v) {
			return fmt.Errorf("get %s: %q %w, the scan says %q", k, got, err, v)
		}
		n++
		sum += len(k) * (len(v) + 1)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d rows, sum %d, offset %d", n, sum, s.Offset())
}

func TestStores(t *testing.T) {
	for name, open := range map[string]func() *Store{
		"memory": Memory,
		"pebble": func() *Store {
			s, err := Open(t.TempDir(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			if s.Offset() != -1 {
				t.Errorf("a new store is at %d", s.Offset())
			}
			put(t, s, 7, "ann", "1", "bob", "22", "ann", "333", "cid", "4", "cid", "-", "", "nobody", "eve", "")
			if got, want := content(t, s), "4 rows, sum 24, offset 7"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if v, err := s.Get([]byte("eve")); v == nil || len(v) != 0 || err != nil {
				t.Errorf("an empty row is %v %v", v, err)
			}
			if v, err := s.Get([]byte("cid")); v != nil || err != nil {
				t.Errorf("a deleted row is %q %v", v, err)
			}
			put(t, s, 3) // never goes back
			if s.Offset() != 7 {
				t.Errorf("offset %d", s.Offset())
			}
			stop := errors.New("stop")
			if err := s.Each(func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
				t.Errorf("Each: %v", err)
			}
			if err := s.Reset([16]byte{1}); err != nil {
				t.Fatal(err)
			}
			if got, want := content(t, s), "0 rows, sum 0, offset -1"; got != want || s.Topic() != [16]byte{1} {
				t.Errorf("after Reset: %s of topic %x, want %s", got, s.Topic(), want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPebbleKeepsRowsOffsetAndTopic(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "0")
	for round := range 3 {
		s, err := Open(dir, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if err := s.Reset([16]byte{9}); err != nil {
				t.Fatal(err)
			}
		}
		if want := int64(round*10 - 1); s.Offset() != max(want, -1) || s.Topic() != [16]byte{9} {
			t.Errorf("round %d: offset %d of topic %x", round, s.Offset(), s.Topic())
		}
		put(t, s, int64(round*10+9), fmt.Sprint("key", round), "v")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// opensEmpty opens what was damaged: nothing of it is left.
func opensEmpty(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, s), "0 rows, sum 0, offset -1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestStoreInUseIsAnErrorAndACorruptOneIsEmptied(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, 5, "ann", "1")
	if _, err := Open(dir, nil, nil); err == nil {
		t.Fatal("a store was opened twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("manifests: %v %v", manifests, err)
	}
	for _, m := range manifests {
		if err := os.WriteFile(m, bytes.Repeat([]byte("garbage "), 100), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	opensEmpty(t, dir)
}

// Kafka forgets that a row was deleted a day after; a store that was away for as long would never know.
func TestStoreThatWasAwayTooLongFitsNoMore(t *testing.T) {
	dir, id := t.TempDir(), [16]byte{1}
	s, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(id); err != nil {
		t.Fatal(err)
	}
	put(t, s, 7, "ann", "1")
	for _, c := range []struct {
		later time.Duration
		fits  bool
	}{{0, true}, {remembered - time.Minute, true}, {remembered + time.Minute, false}} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = openAt(dir, nil, nil, time.Now().Add(c.later)); err != nil {
			t.Fatal(err)
		}
		if got := s.Fits(id, 0, 100); got != c.fits || s.Offset() != 7 {
			t.Errorf("after %v: fits %v, offset %d", c.later, got, s.Offset())
		}
	}
	if err := s.Reset(id); err != nil || !s.Fits(id, 0, 100) || s.Offset() != -1 {
		t.Errorf("emptied: %v, fits %v, offset %d", err, s.Fits(id, 0, 100), s.Offset())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
