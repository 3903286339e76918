package embedded

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// chdbVersion is the one version known to take the listener options.
const chdbVersion = "26.7.3-stable.1"

// Reasons why the ClickHouse library cannot be had; test with errors.Is.
var (
	ErrUnsupported = errors.New("no embedded ClickHouse for this system")
	ErrNoNPM       = errors.New("npm is missing")
	ErrChecksum    = errors.New("checksum mismatch")
)

// library is one pinned package.
type library struct {
	pkg       string
	version   string
	integrity string // of the package file, as npm writes it
	size      int64  // of libchdb.so, bytes
	// pack puts the package file into dir and returns its path.
	pack func(ctx context.Context, dir, spec string, say func(string)) (string, error)
}

func pinnedLibrary(goos, goarch string) (library, error) {
	if goos != "linux" || goarch != "amd64" {
		return library{}, fmt.Errorf("%w (%s/%s): its library exists for linux/amd64 alone; give dwell the address of a ClickHouse server instead", ErrUnsupported, goos, goarch)
	}
	return library{
		pkg:       "@chdb/lib-linux-x64-gnu",
		version:   chdbVersion,
		integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
		size:      566330096,
		pack:      npmPack,
	}, nil
}

// FetchClickHouse makes sure that the ClickHouse library is in the cache and
// returns its path. An intact library is returned at once and needs no
// network; one that is missing, cut or changed is fetched again through npm
// (178 MB, 566 MB unpacked). cache may be empty: then it is DWELL_CACHE, else
// dwell's folder in the user's cache. progress may be nil; it gets a line for
// people every few seconds.
//
// The package must have the checksum pinned here, else the error is
// ErrChecksum and nothing is kept.
func FetchClickHouse(ctx context.Context, cache string, progress func(string)) (string, error) {
	lib, err := pinnedLibrary(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return "", err
	}
	return lib.fetch(ctx, cache, progress)
}

func (l library) fetch(ctx context.Context, cache string, say func(string)) (string, error) {
	cache, err := cacheDir(cache)
	if err != nil {
		return "", err
	}
	if say == nil {
		say = func(string) {}
	}
	dest := filepath.Join(cache, "chdb", l.version)
	err = install(ctx, dest, func(tmp string) error { return l.fill(ctx, tmp, say) })
	if err != nil {
		return "", fmt.Errorf("fetch ClickHouse %s: %w", l.version, err)
	}
	return filepath.Join(dest, libraryName), nil
}

// fill leaves the library, and nothing else, in tmp.
func (l library) fill(ctx context.Context, tmp string, say func(string)) error {
	work := filepath.Join(tmp, "package")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	file, err := l.pack(ctx, work, l.pkg+"@"+l.version, say)
	if err != nil {
		return err
	}
	say("checking the package")
	if err := l.verify(file); err != nil {
		return err
	}
	if err := unpackLibrary(ctx, file, filepath.Join(tmp, libraryName), l.size, say); err != nil {
		return err
	}
	return os.RemoveAll(work)
}

func (l library) verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	if got != l.integrity {
		return fmt.Errorf("%w: npm delivered %s@%s as %s, but it must be %s: run `npm cache clean --force` and try again, and if that repeats do not trust this registry",
			ErrChecksum, l.pkg, l.version, got, l.integrity)
	}
	return nil
}
