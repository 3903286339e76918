package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	logAside  = 8 << 20  // bytes at which a log is put aside
	tailBytes = 16 << 10 // how far back tail looks
	tailLines = 20
)

// logFile is a child's log and where the current process's part begins.
type logFile struct {
	path string
	from int64
	w    *os.File
}

// openLog opens path for appending; an empty path is the supervisor's stderr.
func openLog(path string) (*logFile, error) {
	if path == "" {
		return &logFile{w: os.Stderr}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of log %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > logAside {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put log %s aside: %w", path, err)
		}
	}
	w, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	info, err := w.Stat()
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("read the size of log %s: %w", path, err)
	}
	return &logFile{path: path, from: info.Size(), w: w}, nil
}

// closeWriter closes our end once the child has its own.
func (l *logFile) closeWriter() {
	if l.path != "" {
		l.w.Close()
	}
}

// tail returns the last lines that the current process wrote, or nothing.
func (l *logFile) tail() string {
	if l.path == "" {
		return ""
	}
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from := max(l.from, info.Size()-tailBytes)
	buf := make([]byte, max(0, info.Size()-from))
	n, _ := f.ReadAt(buf, from)
	lines := strings.Split(strings.TrimRight(string(buf[:n]), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
