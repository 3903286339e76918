package memory

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestTheLeastLimitCounts(t *testing.T) {
	const meminfo = "MemFree:  1 kB\nMemTotal:       8192 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no Linux":           {nil, 0},
		"a machine":          {map[string]string{"proc/meminfo": meminfo}, 8 << 20},
		"nonsense":           {map[string]string{"proc/meminfo": "MemTotal: -5 kB\n", "proc/self/cgroup": "x\n"}, 0},
		"no number":          {map[string]string{"proc/meminfo": "MemTotal: x kB\n"}, 0},
		"a container":        {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576\n"}, 1 << 20},
		"without a limit":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8 << 20},
		"a group around":     {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "4096\n", "sys/fs/cgroup/a/b/memory.max": "8192\n"}, 4096},
		"the first version":  {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:cpu:/a\n2:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096\n"}, 4096},
		"more than there is": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "2:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8 << 20},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := available(root); got != c.want {
			t.Errorf("%s: %d bytes, not %d", name, got, c.want)
		}
	}
}

func TestALimitGoesWithThePace(t *testing.T) {
	if got := settingFor(0); got != (Setting{}) {
		t.Errorf("of unknown memory: %+v", got)
	}
	if got, want := settingFor(4<<30), (Setting{Percent, 3 << 30}); got != want {
		t.Errorf("of 4 GiB: %+v, not %+v", got, want)
	}
}

func TestWhoSetsThePaceKeepsIt(t *testing.T) {
	percent, limit := debug.SetGCPercent(77), debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "100")
			if s := Tune(); s != (Setting{}) || debug.SetGCPercent(77) != 77 {
				t.Errorf("%+v although %s is set", s, name)
			}
		})
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	s := Tune()
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("how much memory there is cannot be told here")
	}
	if s.Percent != Percent || debug.SetGCPercent(77) != Percent || s.LimitBytes <= 0 || s.LimitBytes == math.MaxInt64 || debug.SetMemoryLimit(-1) != s.LimitBytes {
		t.Errorf("%+v is not in force", s)
	}
}
