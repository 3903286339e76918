package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DirLock is held by this process and, through Supervisor.Lock, by every child
// it starts.
type DirLock struct {
	file *os.File
}

// LockedError says that another run holds a data directory.
type LockedError struct {
	Dir string
	// Pid is the supervisor that took the lock; zero when the file names none.
	Pid int
}

func (e *LockedError) Error() string {
	who := ""
	if e.Pid != 0 {
		who = fmt.Sprintf(" (pid %d)", e.Pid)
	}
	return fmt.Sprintf("another dwell runs on %s%s: stop it, or use another --data", e.Dir, who)
}

// Lock takes the lock of dir, which it creates if needed. It waits up to wait
// for a previous run that is still ending and calls waiting (nil is allowed)
// once, with the previous run's pid, before it begins to wait. When the time
// is over it returns a *LockedError; when ctx ends, ctx's error.
//
// The lock is the kernel's (flock on dir/lock), so a killed run leaves nothing
// behind to clean up. It belongs to the open file that children inherit: it is
// free when the last of them is gone.
func Lock(ctx context.Context, dir string, wait time.Duration, waiting func(pid int)) (*DirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of %s: %w", dir, err)
	}
	if err := acquire(ctx, f, dir, wait, waiting); err != nil {
		f.Close()
		return nil, err
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the pid into the lock of %s: %w", dir, err)
	}
	return &DirLock{file: f}, nil
}

func acquire(ctx context.Context, f *os.File, dir string, wait time.Duration, waiting func(int)) error {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", dir, err)
		}
		if !told && waiting != nil && wait > 0 {
			waiting(holder(f))
		}
		told = true
		select {
		case <-again.C:
		case <-deadline.C:
			return &LockedError{Dir: dir, Pid: holder(f)}
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock of %s: %w", dir, ctx.Err())
		}
	}
}

// holder is the pid in the file, or zero.
func holder(f *os.File) int {
	buf, _ := io.ReadAll(io.NewSectionReader(f, 0, 64))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf)))
	return pid
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// Release gives up this process's share of the lock. It must not unlock: that
// would free the children's share too.
func (l *DirLock) Release() error { return l.file.Close() }
