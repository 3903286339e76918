package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka/stream"
)

// Takeover is what one change of the group did. Times are the longest that a partition's group committed
// nothing while events came, in seconds.
type Takeover struct {
	// Change: a worker joins, leaves in order, or is killed with -9.
	Change   string `json:"change"`
	Standbys int    `json:"standbys"`
	// Moved are the partitions that went to another worker, MovedStill their longest stand-still;
	// UntouchedStill is that of the others.
	Moved          int     `json:"moved"`
	MovedStill     float64 `json:"moved_still_s"`
	UntouchedStill float64 `json:"untouched_still_s"`
	// Detected is from the kill until the group had noticed; 0 for the other changes.
	Detected float64 `json:"detected_s"`
	// Rows that those who took over read from the topic.
	Rows int64 `json:"rows"`
}

// TakeoverConfig of MeasureTakeover. The tags are for cmd.
type TakeoverConfig struct {
	Config `embed:""`
	Rate   int `help:"Events a second meanwhile." default:"2000"`
}

// phaseTime bounds one change.
const phaseTime = 3 * time.Minute

// MeasureTakeover lets a third worker join and leave, and kills one of two with -9, without a restart:
// first with a standby of each partition, then with none.
func MeasureTakeover(ctx context.Context, c TakeoverConfig) (all []Takeover, err error) {
	if c.Rate < 100 || c.Rate > 100_000 {
		return nil, fmt.Errorf("rate: %d is not within 100 to 100000", c.Rate)
	}
	for _, standbys := range []int{1, 0} {
		found, err := measureTakeover(ctx, c, standbys)
		all = append(all, found...)
		if err != nil {
			return all, fmt.Errorf("with %d standbys: %w", standbys, err)
		}
	}
	return all, nil
}

func measureTakeover(ctx context.Context, c TakeoverConfig, standbys int) (all []Takeover, err error) {
	g, err := newGround(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	crew := &crew{ground: g, standbys: standbys}
	defer func() { err = errors.Join(err, crew.close()) }()
	if err := crew.start(ctx); err != nil {
		return nil, err
	}
	w, err := startWatch(ctx, g, c.Rate)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for _, change := range []func(context.Context, *watch) (Takeover, error){crew.join, crew.leave, crew.kill} {
		one, cancel := context.WithTimeoutCause(ctx, phaseTime, fmt.Errorf("it took longer than %v", phaseTime))
		t, err := change(one, w)
		cancel()
		if err != nil {
			return all, err
		}
		t.Standbys = standbys
		c.Say(fmt.Sprintf("%d standbys, %s: %+v", standbys, t.Change, t))
		all = append(all, t)
	}
	return all, nil
}

// crew is one worker that stays, one that is going to be killed, and a third that comes and goes.
type crew struct {
	*ground
	standbys    int
	stays, adds *worker
	victim      *child.Process
	killed      bool
}

// worker runs in this process.
type worker struct {
	*stream.Processor
	stop func() error
}

func (c *crew) worker(name string) (*worker, error) {
	p, err := stream.New(workerConfig(c.kafka, name, filepath.Join(c.dir, name), c.standbys), definition(c.name))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return &worker{p, func() error { cancel(); return <-done }}, nil
}

func (w *worker) owned() (numbers []int32) {
	for _, p := range w.Status().Partitions {
		numbers = append(numbers, p.Number)
	}
	return numbers
}

// recovered is what it read of some partitions.
func (w *worker) recovered(numbers []int32) (rows int64) {
	for _, p := range w.Status().Partitions {
		if slices.Contains(numbers, p.Number) {
			rows += p.Recovered
		}
	}
	return rows
}

// warm says that it has copies, and that they lack next to nothing: events come all the time.
func (w *worker) warm(standbys int) bool {
	all := w.Status().Standbys
	if standbys == 0 {
		return true
	}
	for _, s := range all {
		if s.Lag < 0 || s.Lag > 5000 || s.Next == 0 {
			return false
		}
	}
	return len(all) > 0
}

func (c *crew) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, phaseTime)
	defer cancel()
	if c.stays, err = c.worker("stays"); err != nil {
		return err
	}
	argv, err := job{Addrs: c.kafka.Brokers, Partitions: c.Partitions, Name: c.name, Dir: filepath.Join(c.dir, victim), Standbys: c.standbys}.argv(c.Child)
	if err != nil {
		return err
	}
	if c.victim, err = child.Start("the worker to kill", "", argv); err != nil {
		return err
	}
	return c.shared(ctx, 2)
}

// shared waits until so many members have their partitions and copies.
func (c *crew) shared(ctx context.Context, members int) error {
	most := (int(c.Partitions) + members - 1) / members
	return wait(ctx, "the workers share the partitions", func() bool {
		if !c.stays.Ready() || len(c.stays.owned()) > most || !c.stays.warm(c.standbys) && members > 1 {
			return false
		}
		n, stable := c.members(ctx)
		return n == members && stable && (c.adds == nil || c.adds.Ready() && len(c.adds.owned()) > 0)
	})
}

// members of the group, and whether it stands still for nobody.
func (c *crew) members(ctx context.Context) (n int, stable bool) {
	found, err := c.adm.DescribeGroups(ctx, "dwell."+c.name)
	if err != nil {
		return 0, false
	}
	d := found["dwell."+c.name]
	return len(d.Members), d.State == "Stable"
}

func (c *crew) join(ctx context.Context, w *watch) (t Takeover, err error) {
	w.begin()
	if c.adds, err = c.worker("third"); err != nil {
		return t, err
	}
	if err := c.shared(ctx, 3); err != nil {
		return t, err
	}
	moved := c.adds.owned()
	return w.end(ctx, Takeover{Change: "join", Rows: c.adds.recovered(moved)}, moved)
}

func (c *crew) leave(ctx context.Context, w *watch) (t Takeover, err error) {
	moved := c.adds.owned()
	w.begin()
	err = c.adds.stop()
	c.adds = nil
	if err != nil {
		return t, err
	}
	if err := c.shared(ctx, 2); err != nil {
		return t, err
	}
	return w.end(ctx, Takeover{Change: "leave", Rows: c.stays.recovered(moved)}, moved)
}

func (c *crew) kill(ctx context.Context, w *watch) (t Takeover, err error) {
	var moved []int32
	for p := range c.Partitions {
		if !slices.Contains(c.stays.owned(), p) {
			moved = append(moved, p)
		}
	}
	w.begin()
	start := time.Now()
	if err := syscall.Kill(c.victim.Pid(), syscall.SIGKILL); err != nil {
		return t, fmt.Errorf("kill the worker: %w", err)
	}
	c.killed = true
	if err := wait(ctx, "the group notices", func() bool { n, _ := c.members(ctx); return n == 1 }); err != nil {
		return t, err
	}
	t = Takeover{Change: "kill -9", Detected: time.Since(start).Seconds()}
	if err := c.shared(ctx, 1); err != nil {
		return t, err
	}
	t.Rows = c.stays.recovered(moved)
	return w.end(ctx, t, moved)
}

func (c *crew) close() error {
	var faults []error
	for _, w := range []*worker{c.stays, c.adds} {
		if w != nil {
			faults = append(faults, w.stop())
		}
	}
	if c.victim != nil {
		if err := c.victim.Stop(); !c.killed {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// wait asks every few milliseconds until it is so.
func wait(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// PrintTakeover writes the table.
func PrintTakeover(w io.Writer, all []Takeover) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "change\tstandbys\tmoved\tstand-still of moved s\tof untouched s\tnoticed after s\trows read\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t%d\t\n", r.Change, r.Standbys, r.Moved, r.MovedStill, r.UntouchedStill, r.Detected, r.Rows)
	}
	_ = t.Flush() // w says
}
