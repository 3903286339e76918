package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/internal/supervise"
)

// endingWait is how long a new run waits for an old one that is still ending.
const endingWait = 10 * time.Second

// Run starts everything and returns when ctx has ended and all processes are gone, or when a part
// cannot be kept running.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Brokers != "" {
		cfg.Kafka = "outside"
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := cfg.checkDisk(); err != nil {
		return err
	}
	return run(ctx, cfg)
}

func run(ctx context.Context, cfg Config) error {
	lock, err := supervise.Lock(ctx, cfg.Data, endingWait, func(pid int) {
		cfg.Say(fmt.Sprintf("a run before this one (pid %d) is still ending; waiting for it", pid))
	})
	if err != nil {
		return err
	}
	return errors.Join(runLocked(ctx, cfg, lock), lock.Release())
}

func runLocked(ctx context.Context, cfg Config, lock *supervise.DirLock) error {
	if err := cfg.checkPorts(); err != nil {
		return err
	}
	lib, err := fetch(ctx, cfg)
	if err != nil {
		return err
	}
	secret, err := secretOf(cfg.Data)
	if err != nil {
		return err
	}
	// The parts' settings come from this run alone.
	if err := os.Unsetenv("DWELL_CONFIG"); err != nil {
		return fmt.Errorf("clear DWELL_CONFIG: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	s := &site{cfg: cfg, sup: &supervise.Supervisor{Lock: lock}, kafkaReady: make(chan struct{})}
	return s.run(ctx, children(cfg, self, lib, secret))
}

// fetch gets what the embedded parts need; it is quick when all is there.
func fetch(ctx context.Context, cfg Config) (lib string, err error) {
	say := func(line string) { cfg.Say("  " + line) }
	if cfg.ClickHouse == "" {
		if lib, err = embedded.FetchClickHouse(ctx, cfg.Cache, say); err != nil {
			return "", err
		}
	}
	if cfg.Kafka == "real" {
		if _, err := embedded.FetchKafka(ctx, cfg.Cache, say); err != nil {
			return "", err
		}
	}
	return lib, nil
}

// site is a run under way.
type site struct {
	cfg        Config
	sup        *supervise.Supervisor
	once       sync.Once
	kafkaReady chan struct{}
	stopping   bool // only touched by events, which come one at a time
}

func (s *site) run(ctx context.Context, specs []supervise.Spec) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer cancel(nil)
		return s.sup.Run(gctx, specs, s.event)
	})
	g.Go(func() error { return s.serveAdmin(gctx) })
	g.Go(func() error { return s.cfg.watchDisk(gctx) })
	g.Go(func() error { return s.welcome(gctx, len(specs)) })
	if s.cfg.Kafka == "outside" {
		s.once.Do(func() { close(s.kafkaReady) })
	}
	return g.Wait()
}

// event tells the person what happens to the parts.
func (s *site) event(e supervise.Event) {
	switch e.Kind {
	case supervise.Ready:
		if e.Child == "kafka" {
			s.once.Do(func() { close(s.kafkaReady) })
		}
	case supervise.Exited:
		s.cfg.Say(fmt.Sprintf("  %s ended (%v); starting it again in %v; its log is %s", e.Child, e.Err, e.Pause, logOf(s.cfg, e.Child)))
	case supervise.Stopping:
		if !s.stopping {
			s.stopping = true
			s.cfg.Say("stopping all parts in order")
		}
	case supervise.Killed:
		s.cfg.Say(fmt.Sprintf("  %s did not end in time and was killed", e.Child))
	case supervise.Started, supervise.GaveUp, supervise.Stopped:
	}
}

// welcome seeds an empty system, waits for all parts and says what to try.
func (s *site) welcome(ctx context.Context, parts int) error {
	select {
	case <-s.kafkaReady:
	case <-ctx.Done():
		return nil
	}
	if err := seed(ctx, s.cfg); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ready := 0; ready < parts; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		ready = 0
		for _, c := range s.sup.Children() {
			if c.Ready {
				ready++
			}
		}
	}
	s.cfg.Say(welcomeText(s.cfg))
	return nil
}

func welcomeText(cfg Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dwell is ready: http://%s\n", local(cfg.HTTPPort))
	if cfg.Kafka == "embedded" {
		b.WriteString("  the embedded Kafka is exact while it lives; to try a kill -9 of the broker itself, run with KAFKA=real\n")
	}
	fmt.Fprintf(&b, "  win three times on that page, and a popup comes\n")
	fmt.Fprintf(&b, "  send an event   curl -u demo: http://%s/v1/track -d '{\"userId\":\"ann\",\"event\":\"hello\"}'\n", local(cfg.HTTPPort))
	fmt.Fprintf(&b, "  replay a log    bin/dwell replay testdata/access-2015.log.gz\n")
	if cfg.ClickHouse == "" {
		fmt.Fprintf(&b, "  slice it        curl 'http://%s/?database=dwell' -d 'SELECT path, count() FROM events GROUP BY path ORDER BY 2 DESC LIMIT 10'\n", local(cfg.ClickHousePort))
	}
	fmt.Fprintf(&b, "  health, metrics http://%s/status, /metrics; logs in %s; Ctrl-C stops all", local(cfg.AdminPort), filepath.Join(cfg.Data, "logs"))
	return b.String()
}
