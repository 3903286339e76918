package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A machine that loses its power cuts files. Whatever was cut, the store opens, and then holds what it
// held up to some offset, or nothing.
func TestCutFilesCostRowsNeverTheStore(t *testing.T) {
	full := t.TempDir()
	s, err := Open(full, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 100)
	for round := range 3 { // several lives leave tables, logs and a manifest with a past
		for i := range 200 {
			put(t, s, int64(round*200+i), fmt.Sprint("k", i%50), fmt.Sprint(round*200+i, big))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(full, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, 600, "k0", "600"+big)
	s.bulk.most = 2000 // tables of their own
	for i := range 150 {
		if err := s.Bulk([]Row{{Key: fmt.Append(nil, "k", i%50), Value: fmt.Append(nil, 601+i, big)}}, int64(601+i)); err != nil {
			t.Fatal(err)
		}
	}
	image := t.TempDir() // as a kill leaves it: not closed
	err = os.CopyFS(image+"/d", os.DirFS(full))
	for range 100 { // pebble deletes what it has replaced by itself, some time
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
		err = errors.Join(os.RemoveAll(image+"/d"), os.CopyFS(image+"/d", os.DirFS(full)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(image + "/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		for cut := range 8 {
			size := info.Size() * int64(cut) / 8
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.CopyFS(dir, os.DirFS(image+"/d")); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, f.Name()), size); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, nil, nil)
			if err != nil {
				t.Errorf("%s cut to %d of %d: %v", f.Name(), size, info.Size(), err)
				continue
			}
			n := 0
			if err := s.Each(func(_, _ []byte) error { n++; return nil }); err != nil {
				t.Errorf("%s cut to %d of %d: %v", f.Name(), size, info.Size(), err)
			}
			if s.Offset() >= 49 && n != 50 || s.Offset() == none && n != 0 {
				t.Errorf("%s cut to %d of %d: offset %d, %d rows", f.Name(), size, info.Size(), s.Offset(), n)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A block that cannot be read is an error for those who read it, and the end of the store once closed.
func TestDamagedBlockEndsTheStore(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 { // the second life moves the rows into a table
		s, err := Open(dir, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			put(t, s, int64(round*500+i), fmt.Sprint("k", i), strings.Repeat("x", 100))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(files) == 0 {
		t.Fatalf("tables: %v %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/4] ^= 0x55
		if err := os.WriteFile(f, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Each(func(_, _ []byte) error { return nil }); err == nil {
		t.Error("the damage was not seen")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	opensEmpty(t, dir)
}
