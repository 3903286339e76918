package decide

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// outcome is what a run came to, so that two of them can be compared.
type outcome struct {
	// facts is how many events counted; verdicts how many there are of each, up to the last record's time.
	facts    int64
	verdicts map[string]int64
	// ids is the sum of hashes of the verdicts' ids, whatever their order.
	ids     uint64
	untilMS int64
}

func (o *outcome) add(v *schemas.Verdict) {
	if v.DecidedMs > o.untilMS {
		return
	}
	o.verdicts[v.Verdict]++
	h := uint64(14695981039346656037)
	for _, b := range []byte(v.Id) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	o.ids += h
}

// total is how many verdicts there are.
func (o *outcome) total() (n int64) {
	for _, k := range o.verdicts {
		n += k
	}
	return n
}

func (o *outcome) take(out []processors.Emission) error {
	for _, e := range out {
		switch e.Topic {
		case topics.Facts.Spec:
			o.facts++
		case topics.Verdicts.Spec:
			v, err := topics.Verdicts.Codec.Decode(e.Value)
			if err != nil {
				return err
			}
			o.add(v)
		}
	}
	return nil
}

// used is what this process has used so far.
func used() (cpu time.Duration, allocs, bytes uint64) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), mem.Mallocs, mem.TotalAlloc
}

// profile starts a CPU profile and returns what ends it and writes the allocations beside it.
func profile(dir, name string) (func() error, error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of profiles: %w", err)
	}
	cpu, err := os.Create(filepath.Join(dir, name+".cpu"))
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, fmt.Errorf("profile the CPU: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		mem, err := os.Create(filepath.Join(dir, name+".mem"))
		if err != nil {
			return fmt.Errorf("write a profile: %w", err)
		}
		return cmp.Or(pprof.Lookup("allocs").WriteTo(mem, 0), mem.Close(), cpu.Close())
	}, nil
}
