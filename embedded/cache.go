package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// marker is written last into a fetched folder; a folder without it, or with
// files other than it lists, is fetched again.
const marker = "complete.json"

// fileMark is enough to see that a file was cut, replaced or written to.
type fileMark struct {
	Size  int64 `json:"size"`
	ModNS int64 `json:"mod_ns"`
}

// cacheDir is dir, else DWELL_CACHE, else dwell's part of the user's cache.
func cacheDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("DWELL_CACHE")
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder (set DWELL_CACHE to choose one): %w", err)
		}
		dir = filepath.Join(base, "dwell")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return dir, nil
}

// install makes sure that the folder dest is complete. If it is not, fill
// writes it anew into another folder, which then takes dest's place at once:
// whoever looks at dest sees all or nothing, even after a crash. Several
// processes may call it for one dest; one of them fills.
func install(ctx context.Context, dest string, fill func(tmp string) error) error {
	if intact(dest) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return diskError(dest, err)
	}
	lock, err := lockWait(ctx, dest+".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if intact(dest) {
		return nil // another process was faster
	}
	tmp := dest + ".part" // of a fetch that was killed, or ours: we hold the lock
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o755)); err != nil {
		return diskError(dest, err)
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return diskError(dest, err)
	}
	err = errors.Join(seal(tmp), os.RemoveAll(dest))
	if err == nil {
		err = errors.Join(os.Rename(tmp, dest), syncPath(filepath.Dir(dest)))
	}
	return diskError(dest, err)
}

// intact says whether dest has its marker and every file that it lists.
func intact(dest string) bool {
	raw, err := os.ReadFile(filepath.Join(dest, marker))
	if err != nil {
		return false
	}
	var marks map[string]fileMark
	if json.Unmarshal(raw, &marks) != nil || len(marks) == 0 {
		return false
	}
	for name, want := range marks {
		info, err := os.Stat(filepath.Join(dest, name))
		if err != nil || markOf(info) != want {
			return false
		}
	}
	return true
}

func markOf(info fs.FileInfo) fileMark {
	return fileMark{Size: info.Size(), ModNS: info.ModTime().UnixNano()}
}

// seal writes everything in dir to disk, then the marker.
func seal(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	marks := map[string]fileMark{}
	for _, e := range entries {
		if err := syncPath(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		marks[e.Name()] = markOf(info)
	}
	raw, err := json.MarshalIndent(marks, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, marker)
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return err
	}
	return errors.Join(syncPath(path), syncPath(dir))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// errHeld says that another process holds a lock.
var errHeld = errors.New("another process uses it")

// lockNow takes the lock file or returns errHeld. Closing the file, or the end
// of the process, frees it.
func lockNow(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// lockWait is lockNow that waits until ctx ends.
func lockWait(ctx context.Context, path string) (*os.File, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		f, err := lockNow(path)
		if !errors.Is(err, errHeld) {
			return f, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another process that holds %s: %w", path, ctx.Err())
		}
	}
}

// diskError adds what to do when err is about a full disk.
func diskError(dest string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk that holds %s is full: free some space there or set DWELL_CACHE to a folder on another disk: %w", filepath.Dir(dest), err)
	}
	return err
}
