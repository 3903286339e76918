package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/kafka/stream"
)

// Recovery is one way to get all rows back.
type Recovery struct {
	What string `json:"what"`
	// Rows that were read from the topic.
	Rows int64 `json:"rows"`
	// Seconds from the assignment of the partitions to their end; CPUSeconds of this process meanwhile.
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// PerSecond is rows a second.
func (r Recovery) PerSecond() float64 { return float64(r.Rows) / max(r.Seconds, 1e-3) }

// PerCore is rows a second of CPU time.
func (r Recovery) PerCore() float64 { return float64(r.Rows) / max(r.CPUSeconds, 1e-3) }

// Measure gets a table back three times: into an empty store on disk, from that store after a restart,
// and into memory.
func Measure(ctx context.Context, c Config) (all []Recovery, err error) {
	g, err := newGround(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	dir := filepath.Join(g.dir, "worker")
	for _, way := range []struct{ what, dir string }{{"empty store, on disk", dir}, {"store from before", dir}, {"in memory", ""}} {
		r, err := g.once(ctx, way.dir)
		if err != nil {
			return all, fmt.Errorf("%s: %w", way.what, err)
		}
		r.What = way.what
		all = append(all, r)
	}
	if all[0].Rows != int64(c.Rows) || all[1].Rows != 0 || all[2].Rows != int64(c.Rows) {
		return all, fmt.Errorf("recovered %d, %d and %d rows, want %d, none and %d", all[0].Rows, all[1].Rows, all[2].Rows, c.Rows, c.Rows)
	}
	return all, nil
}

// once starts a worker and waits until it is ready.
func (g *ground) once(ctx context.Context, dir string) (r Recovery, err error) {
	p, err := stream.New(workerConfig(g.kafka, "one", dir, 0), definition(g.name))
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	cpu, start := used(), time.Now()
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-done)
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !p.Ready() {
		select {
		case <-tick.C:
		case err := <-done:
			done <- nil
			return r, errors.Join(err, errors.New("the worker ended"))
		}
		if len(p.Status().Partitions) == 0 {
			cpu, start = used(), time.Now()
		}
	}
	r.Seconds, r.CPUSeconds = time.Since(start).Seconds(), (used() - cpu).Seconds()
	for _, s := range p.Status().Partitions {
		r.Rows += s.Recovered
	}
	return r, nil
}

// used is the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Print writes the table.
func Print(w io.Writer, all []Recovery) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "recovery\trows\tseconds\trows/s\tCPU s\trows/s a core\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.0f\t%.2f\t%.0f\t\n", r.What, r.Rows, r.Seconds, r.PerSecond(), r.CPUSeconds, r.PerCore())
	}
	_ = t.Flush() // w says
}
