// Package worker makes a process out of processors: settings from flags, environment and file,
// health, metrics, an ordered stop. A program of your own needs one line:
//
//	func main() { worker.Main(cart.Processor) }
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/internal/config"
	"github.com/dwellhq/dwell/internal/role"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/kafka/stream/brake"
	"github.com/dwellhq/dwell/kafka/stream/guarantee"
	"github.com/dwellhq/dwell/processors"
)

// Config of a worker. The tags are for the command line.
type Config struct {
	role.Settings `embed:""`
	kafka.Config  `embed:""`

	Data string `help:"Folder of the local tables; they are rebuilt from Kafka when it is empty." default:"dwell-data" env:"DWELL_DATA" type:"path"`
	// Instance must be stable across restarts and unique in the group.
	Instance string `help:"Name of this instance: stable across restarts, unique among the workers; default: the host's name." env:"DWELL_INSTANCE"`
	// SessionTimeout and Standbys are stream.Config's; zero means its defaults.
	SessionTimeout time.Duration `help:"How long a worker may be gone before others take over. Brokers refuse less than 6s unless group.min.session.timeout.ms allows it: then the default becomes 6s. Short: quick take-over, but slow restarts and long pauses cost two rebalances." default:"3s" env:"DWELL_SESSION_TIMEOUT"`
	Standbys       int           `help:"How many other workers keep a copy of each partition's table, so that a take-over reads the tail only; -1: none." default:"1" env:"DWELL_STANDBYS"`
	// Guarantee is stream.Config's.
	Guarantee guarantee.Guarantee `help:"exactly-once, or at-least-once for brokers without transactions: records may count again after a crash." enum:"exactly-once,at-least-once" default:"exactly-once" env:"DWELL_GUARANTEE"`
	// DeadLetterPercent and DeadLetters stop a processor that rejects more, see stream.Config.
	DeadLetterPercent float64 `help:"Stop when more than so many percent of a processor's records are rejected within a minute; 0: never." default:"5" env:"DWELL_DEAD_LETTER_PERCENT"`
	DeadLetters       int64   `help:"So many must be rejected within the minute, too." default:"100" env:"DWELL_DEAD_LETTERS"`
}

// Main runs the processors until SIGTERM or an interrupt and exits the process: with 0 after an
// ordered stop, with 1 after a fatal error, with 80 on wrong settings.
func Main(defs ...*processors.Def) {
	var cli struct {
		config.File
		Config
	}
	p, err := config.Parser(&cli, filepath.Base(os.Args[0]), "A worker of dwell.")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, err = p.Parse(os.Args[1:])
	p.FatalIfErrorf(err)
	p.FatalIfErrorf(Run(cli.Config, defs...))
}

// Run runs the processors in this process until SIGTERM or an interrupt.
func Run(cfg Config, defs ...*processors.Def) error {
	return role.Run("worker", cfg.Settings, func(ctx context.Context, metrics prometheus.Registerer) (role.Part, error) {
		w, err := New(ctx, cfg, metrics, defs...)
		if err != nil {
			return role.Part{}, err
		}
		return role.Part{Ready: w.Ready, Status: func() any { return w.Status() }, Run: w.Run}, nil
	})
}

// Worker is a set of processors that run together.
type Worker struct {
	cfg   Config
	parts []*stream.Processor
	names []string
}

// New checks and makes the topics, then the processors.
func New(ctx context.Context, cfg Config, metrics prometheus.Registerer, defs ...*processors.Def) (*Worker, error) {
	if len(defs) == 0 {
		return nil, errors.New("worker: no processor given")
	}
	if cfg.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name this instance (set --instance or DWELL_INSTANCE): %w", err)
		}
		cfg.Instance = host
	}
	if err := kafka.Ensure(ctx, cfg.Config, Topics(defs...)...); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg}
	for _, d := range defs {
		p, err := stream.New(stream.Config{
			Kafka: cfg.Config, Dir: filepath.Join(cfg.Data, d.Name), InstanceID: cfg.Instance, Registerer: metrics,
			SessionTimeout: cfg.SessionTimeout, Standbys: cfg.Standbys,
			Guarantee:   cfg.Guarantee,
			DeadLetters: brake.Limit{Percent: cfg.DeadLetterPercent, Records: cfg.DeadLetters},
		}, d)
		if err != nil {
			return nil, fmt.Errorf("processor %s: %w", d.Name, err)
		}
		w.parts, w.names = append(w.parts, p), append(w.names, d.Name)
	}
	return w, nil
}

// Run runs all processors until ctx ends or one of them cannot go on.
func (w *Worker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, p := range w.parts {
		g.Go(func() error {
			if err := p.Run(ctx); err != nil {
				return fmt.Errorf("processor %s: %w", w.names[i], err)
			}
			return nil
		})
	}
	g.Go(func() error { return w.report(ctx) })
	return g.Wait()
}

// Ready says which processor is not assigned, recovered and caught up with the whole topics.
func (w *Worker) Ready() error {
	for i, p := range w.parts {
		if !p.Ready() {
			return fmt.Errorf("processor %s is not ready", w.names[i])
		}
	}
	return nil
}

// Status of every processor, by name.
func (w *Worker) Status() map[string]stream.Status {
	all := map[string]stream.Status{}
	for i, p := range w.parts {
		all[w.names[i]] = p.Status()
	}
	return all
}
