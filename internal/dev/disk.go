package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// diskLook is how often a run looks at the free space of its disk.
const diskLook = time.Second

// checkDisk refuses to go on with less than MinFree left. A broker or an engine that runs into a full
// disk ends somewhere in the middle of a write; parts that are stopped before that end in order.
func (c Config) checkDisk() error {
	free, err := freeMiB(c.Data)
	if err != nil {
		return err
	}
	if free >= c.MinFree {
		return nil
	}
	return fmt.Errorf("the disk that holds %s has %d MiB left, and dwell stops below %d, while nothing is lost: "+
		"free some space, move the data with --data, or set another limit with --min-free or DWELL_MIN_FREE", c.Data, free, c.MinFree)
}

// watchDisk ends with an error once the disk is nearly full, else with ctx.
func (c Config) watchDisk(ctx context.Context) error {
	tick := time.NewTicker(diskLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.checkDisk(); err != nil {
				return err
			}
		}
	}
}

// freeMiB is what a user without special rights may still write at a path, MiB; of a path that is not
// there yet, what its nearest parent has.
func freeMiB(path string) (int, error) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(path, &st)
		if err == nil {
			return int(st.Bavail * uint64(st.Bsize) >> 20), nil //nolint:gosec // a block size is positive, and no disk has 2^63 MiB
		}
		if up := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && up != path {
			path = up
			continue
		}
		return 0, fmt.Errorf("look at the free space of %s: %w", path, err)
	}
}
