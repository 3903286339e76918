// Package role runs one long-lived part of dwell as a process: signals, logs, the admin listener,
// readiness and an ordered end.
package role

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/dwellhq/dwell/internal/admin"
	"github.com/dwellhq/dwell/internal/supervise"
)

// Settings that every role has. The tags are for cmd.
type Settings struct {
	Admin    string `help:"Address of health, metrics and profiles, host:port." default:"127.0.0.1:8081" env:"DWELL_ADMIN"`
	LogLevel string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"DWELL_LOG_LEVEL"`
}

// Part is what a role runs.
type Part struct {
	// Ready returns nil when the part does its work, else why not.
	Ready func() error
	// Status is shown as JSON.
	Status func() any
	// Run works until ctx ends, finishes what is under way, and returns nil.
	Run func(ctx context.Context) error
}

// Start makes a Part once logs and metrics are there.
type Start func(ctx context.Context, metrics prometheus.Registerer) (Part, error)

// readyEvery is how often readiness is looked at until it is reported.
const readyEvery = 20 * time.Millisecond

// Run runs a role until SIGTERM, an interrupt or the end of its supervisor. An error of the part
// ends the process: whoever supervises it starts it again.
func Run(name string, s Settings, start Start) error {
	child := supervise.Child()
	if err := logTo(s.LogLevel); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, release := child.Context(ctx)
	defer release()
	reg, metrics := admin.NewRegistry(name)
	part, err := start(ctx, metrics)
	if err != nil {
		return fmt.Errorf("start the %s: %w", name, err)
	}
	srv := &admin.Server{Addr: s.Admin, Ready: part.Ready, Status: part.Status, Metrics: reg}
	if err := srv.Listen(); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	served, serve := context.WithCancel(context.WithoutCancel(ctx)) // the admin listener ends last
	g.Go(func() error { return srv.Run(served) })
	g.Go(func() error {
		defer serve()
		if err := part.Run(gctx); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	g.Go(func() error { return announce(gctx, child, part, srv.Address()) })
	return g.Wait()
}

// announce tells the supervisor once the part is ready.
func announce(ctx context.Context, child *supervise.Handle, part Part, address string) error {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for part.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	slog.Info("ready", "admin", address)
	return child.Ready(map[string]string{"admin": address})
}

func logTo(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return fmt.Errorf("log level %q: %w", level, err)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})))
	return nil
}
