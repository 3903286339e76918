package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const fakeLibrary = "the engine"

// fakePackage is a small package in npm's form.
func fakePackage(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	files := tar.NewWriter(zip)
	for name, text := range map[string]string{"package/index.js": "x", "package/libchdb.so": fakeLibrary} {
		err := files.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o755})
		if err == nil {
			_, err = files.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(files.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fakeLib is a library whose package comes from memory; packs counts fetches.
func fakeLib(t *testing.T, packs *atomic.Int32) library {
	pkg := fakePackage(t)
	sum := sha512.Sum512(pkg)
	return library{
		pkg: "fake", version: "1", integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), size: int64(len(fakeLibrary)),
		pack: func(_ context.Context, dir, _ string, _ func(string)) (string, error) {
			packs.Add(1)
			path := filepath.Join(dir, "fake.tgz")
			return path, os.WriteFile(path, pkg, 0o644)
		},
	}
}

func TestADamagedLibraryIsFetchedAgain(t *testing.T) {
	var packs atomic.Int32
	cache, lib := t.TempDir(), fakeLib(t, &packs)
	path, err := lib.fetch(t.Context(), cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, later := filepath.Dir(path), time.Now().Add(time.Second) // file times are coarse
	for name, damage := range map[string]func() error{
		"nothing": func() error { return nil },
		"cut":     func() error { return os.Truncate(path, 3) },
		"written to": func() error {
			return errors.Join(os.WriteFile(path, []byte("THE ENGINE"), 0o755), os.Chtimes(path, later, later))
		},
		"library gone":  func() error { return os.Remove(path) },
		"never sealed":  func() error { return os.Remove(filepath.Join(dir, marker)) },
		"marker cut":    func() error { return os.Truncate(filepath.Join(dir, marker), 5) },
		"killed before": func() error { return errors.Join(os.Rename(dir, dir+".part"), os.Truncate(dir+".part/libchdb.so", 1)) },
	} {
		want := packs.Load() + 1
		if name == "nothing" {
			want--
		}
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := lib.fetch(t.Context(), cache, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != fakeLibrary {
			t.Errorf("%s: library is %q", name, got)
		}
		if packs.Load() != want {
			t.Errorf("%s: %d fetches, want %d", name, packs.Load(), want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("the cache keeps %v, want the library and its marker", entries)
	}
}

func TestAWrongPackageIsRefused(t *testing.T) {
	var packs atomic.Int32
	cache, lib := t.TempDir(), fakeLib(t, &packs)
	lib.integrity = "sha512-moon"
	_, err := lib.fetch(t.Context(), cache, nil)
	if !errors.Is(err, ErrChecksum) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"fake@1", "must be sha512-moon", "npm cache clean --force"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if intact(filepath.Join(cache, "chdb", "1")) {
		t.Error("a wrong package was kept")
	}
}

func TestOneOfManyFetches(t *testing.T) {
	var packs atomic.Int32
	cache, lib := t.TempDir(), fakeLib(t, &packs)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := lib.fetch(t.Context(), cache, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if packs.Load() != 1 {
		t.Errorf("%d fetches, want 1", packs.Load())
	}
}

func TestFetchSaysWhatToDo(t *testing.T) {
	var packs atomic.Int32
	full := fakeLib(t, &packs)
	full.pack = func(context.Context, string, string, func(string)) (string, error) {
		return "", fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	if _, err := full.fetch(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "is full: free some space") {
		t.Errorf("disk full: %v", err)
	}
	if _, err := pinnedLibrary("plan9", "arm64"); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "plan9/arm64") {
		t.Errorf("wrong system: %v", err)
	}

	bin := t.TempDir()
	t.Setenv("PATH", bin)
	lib, err := pinnedLibrary("linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lib.fetch(t.Context(), t.TempDir(), nil); !errors.Is(err, ErrNoNPM) || !strings.Contains(err.Error(), "apt-get install npm") {
		t.Errorf("no npm: %v", err)
	}
	script(t, filepath.Join(bin, "npm"), "#!/bin/sh\necho npm error code E404 >&2\nexit 1\n")
	if _, err := lib.fetch(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "npm error code E404: check that `npm ping` works") {
		t.Errorf("npm fails: %v", err)
	}
}

func TestCacheFollowsTheEnvironment(t *testing.T) {
	t.Setenv("DWELL_CACHE", "/somewhere")
	if got, err := cacheDir(""); got != "/somewhere" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := cacheDir("/else"); got != "/else" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
