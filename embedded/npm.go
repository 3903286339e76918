package embedded

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const libraryName = "libchdb.so"

// npmPack asks the npm client, as the user has set it up, for one package.
func npmPack(ctx context.Context, dir, spec string, say func(string)) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("%w: install it (Debian, Ubuntu: sudo apt-get install npm; elsewhere: nodejs.org) and try again", ErrNoNPM)
	}
	cmd := exec.CommandContext(ctx, npm, "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", dir, spec)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	say("fetching " + spec + " through npm (178 MB)")
	out, err := saying(cmd, "still fetching "+spec, say)
	if err != nil {
		return "", npmError(ctx, spec, out, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("npm pack %s left %d package files, want one", spec, len(files))
	}
	return files[0], nil
}

func npmError(ctx context.Context, spec, out string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("npm pack %s: %w", spec, ctx.Err())
	case strings.Contains(out, "ENOSPC"):
		return fmt.Errorf("npm pack %s: %w", spec, syscall.ENOSPC)
	default:
		return fmt.Errorf("npm pack %s: %w: %s: check that `npm ping` works, then try again", spec, err, firstLine(out))
	}
}

// saying runs cmd and says every two seconds that it still runs and for how
// long. It returns what cmd wrote.
func saying(cmd *exec.Cmd, what string, say func(string)) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- cmd.Run() }()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return out.String(), err
		case <-tick.C:
			say(fmt.Sprintf("%s, %d s", what, int(time.Since(begin).Seconds())))
		}
	}
}

// firstLine is the first line that says something.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return "it said nothing"
}

// unpackLibrary takes the library out of an npm package; it must have size
// bytes.
func unpackLibrary(ctx context.Context, pkg, dest string, size int64, say func(string)) error {
	f, err := os.Open(pkg)
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", pkg, err)
	}
	files := tar.NewReader(zip)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("unpack %s: it holds no %s", pkg, libraryName)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", pkg, err)
		}
		if path.Base(h.Name) != libraryName {
			continue
		}
		if h.Size != size {
			return fmt.Errorf("unpack %s: %s has %d bytes, want %d", pkg, libraryName, h.Size, size)
		}
		return copyLibrary(ctx, dest, files, size, say)
	}
}

func copyLibrary(ctx context.Context, dest string, src io.Reader, size int64, say func(string)) error {
	out, err := os.OpenFile(dest, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer out.Close()
	const step = 100 << 20
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("unpack %s: %w", libraryName, err)
		}
		say(fmt.Sprintf("unpacking ClickHouse, %d of %d MB", done/1e6, size/1e6))
		n, err := io.CopyN(out, src, min(step, size-done))
		if err != nil {
			return fmt.Errorf("unpack %s: %w", libraryName, err)
		}
		done += n
	}
	return out.Close()
}
