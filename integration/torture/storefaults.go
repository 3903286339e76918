package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// diskSize is the file system under the first worker's stores when disks get full.
const diskSize = "192m"

// disks mounts a small file system for the first worker. Where that is not allowed the fault is not
// run, and the run says so.
func (t *torture) disks(ctx context.Context) error {
	if !t.has(fulldisk) {
		return nil
	}
	dir := filepath.Join(t.dir, "w0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a worker's folder: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size="+diskSize, "tmpfs", dir).CombinedOutput(); err != nil {
		t.skipped = append(t.skipped, fmt.Sprintf("%s (mount: %v: %s)", fulldisk, err, strings.TrimSpace(string(out))))
		return nil
	}
	t.mounts = append(t.mounts, dir)
	return nil
}

func unmount(dir string) error {
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("unmount %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fillDisk leaves no space under the first worker's stores. It must end and say why; with space again
// it must go on.
func (t *torture) fillDisk(ctx context.Context, s step) error {
	if len(t.mounts) == 0 {
		return nil
	}
	ballast := filepath.Join(t.mounts[0], "ballast")
	err := fill(ballast)
	if err == nil {
		err = t.ranOut(ctx, t.workers[0])
	}
	if rerr := os.Remove(ballast); rerr != nil {
		return errors.Join(err, fmt.Errorf("make space again: %w", rerr))
	}
	if err != nil {
		return err
	}
	return wait(ctx, s.hold)
}

// ranOut waits until a worker has ended for want of space. A store has some in reserve; where that lasts
// too long, on a slow machine, the worker is killed and meets the full disk at its start.
func (t *torture) ranOut(ctx context.Context, w *workerProc) error {
	limit := time.NewTimer(patience / 3)
	defer limit.Stop()
	select {
	case <-w.exited:
	case <-limit.C:
		fmt.Fprintln(t.o.out, "torture: the local store still has space in reserve; starting the worker on the full disk")
		w.kill() // no kill of the schedule's: it does not count
		if err := w.start(); err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	return w.ends(ctx, patience, syscall.ENOSPC.Error())
}

// fill writes a file until there is no space.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

// truncateStore cuts a file of a killed worker's stores, as a machine that lost its power may.
func (t *torture) truncateStore(ctx context.Context, s step) error {
	w := t.worker(s)
	if w.kill() {
		t.kills++
	}
	files, err := storeFiles(w.cfg.Dir)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		f := files[s.draw%uint64(len(files))]
		info, err := os.Stat(f)
		if err == nil {
			err = os.Truncate(f, int64((s.draw>>20)%uint64(info.Size())))
		}
		if err != nil {
			return fmt.Errorf("truncate the local store: %w", err)
		}
	}
	return wait(ctx, s.hold)
}

// storeFiles are the files that hold something, in order.
func storeFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			files = append(files, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // killed before it made any
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the local store %s: %w", dir, err)
	}
	slices.Sort(files)
	return files, nil
}
