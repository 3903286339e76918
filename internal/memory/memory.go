// Package memory tells Go's garbage collector what a process may use: the memory of the machine or of its
// container goes in, a pace and a limit come out.
package memory

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Percent is the pace that Tune sets, as GOGC counts it: the heap may grow to three times what is in use
// before it is collected, not to twice as Go does by itself. A worker makes garbage with every record and
// keeps rows, so that it collects half as often costs less than it takes.
const Percent = 200

// Setting is what Tune did. The zero value is nothing.
type Setting struct {
	// Percent is as GOGC counts.
	Percent int
	// LimitBytes is where Go collects as often as it must to stay below: three quarters of what the process
	// may use, at which Go's own pace would have run out of memory.
	LimitBytes int64
}

// Tune sets the pace and the limit, unless the environment has GOGC or GOMEMLIMIT: who set one of them knows
// better. Where it cannot be told how much memory there is, it leaves all as it is. It may be called once,
// when a process begins.
func Tune() Setting {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return Setting{}
	}
	s := settingFor(available(os.DirFS("/")))
	if s.LimitBytes > 0 {
		debug.SetMemoryLimit(s.LimitBytes)
		debug.SetGCPercent(s.Percent)
	}
	return s
}

// settingFor is the setting for a process that may use so many bytes; 0: that is not known.
func settingFor(bytes int64) Setting {
	if bytes <= 0 {
		return Setting{}
	}
	return Setting{Percent: Percent, LimitBytes: bytes - bytes/4}
}

// available is how many bytes the process may use: the least of the machine's memory and of the limits of
// its control groups; 0: not known.
func available(root fs.FS) int64 {
	least := machine(root)
	lower := func(file string) {
		b, err := fs.ReadFile(root, file)
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && n > 0 && (least == 0 || n < least) { // "max" is no number
			least = n
		}
	}
	b, _ := fs.ReadFile(root, "proc/self/cgroup") // not there: no Linux
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if part[1] == "memory" { // of the first version, each kind of limit has a tree of its own
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if part[1] != "" {
			continue
		}
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) { // the groups around it bound it, too
			lower(path.Join(mount, dir, file))
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// machine is the memory of the machine, bytes; 0: not known.
func machine(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64>>10 {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
