package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/dwellhq/dwell/embedded/sessions"
)

// KafkaConfig sets up the embedded Kafka. The zero value runs in memory on a
// free port.
type KafkaConfig struct {
	// Dir keeps the data; empty means in memory.
	Dir string
	// Port is the broker's port; zero means a free one.
	Port int
	// SyncWrites forces every write to disk. It guards against a machine that
	// dies; a process that dies loses no written record either way.
	SyncWrites bool
	// Log receives the broker's warnings; nil means slog.Default.
	Log *slog.Logger
}

// Kafka is one embedded broker (franz-go's kfake) inside this process.
//
// It is exact while it lives: transactions, fencing and groups behave as a
// real Kafka's, and Close loses nothing. It is not exact when it is killed
// itself: ending a transaction writes its markers and its offsets in more than
// one step, and a kill -9 between them can break the transaction apart, so
// that a few results are doubled or counted twice. Workers may be killed at
// any time. Where the broker may be too, use RealKafka.
type Kafka struct {
	cluster *kfake.Cluster
	keeper  *sessions.Keeper // else members killed while they join would stay in their groups
	lock    *os.File         // nil in memory
	log     *kfakeLog
	once    sync.Once
	err     error
}

// StartKafka starts one broker. Topics are never created by themselves. It
// returns a *PortInUseError when the port is taken.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	k := &Kafka{log: &kfakeLog{out: cfg.Log}}
	if k.log.out == nil {
		k.log.out = slog.Default()
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(cfg.Port),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.WithLogger(k.log),
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the embedded Kafka's data directory: %w", err)
		}
		lock, err := lockNow(filepath.Join(cfg.Dir, ".lock"))
		if err != nil {
			return nil, fmt.Errorf("open the embedded Kafka's data in %s: %w", cfg.Dir, err)
		}
		k.lock = lock
		opts = append(opts, kfake.DataDir(cfg.Dir))
	}
	if _, err := freePorts(claim{cfg.Port, "the embedded Kafka"}); err != nil {
		k.unlock()
		return nil, err
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		k.unlock()
		return nil, startError(cfg, err)
	}
	k.cluster = cluster
	if k.keeper, err = sessions.Keep(cluster); err != nil {
		cluster.Close()
		k.unlock()
		return nil, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	return k, nil
}

func startError(cfg KafkaConfig, err error) error {
	var inUse *PortInUseError
	if errors.As(listenError(claim{cfg.Port, "the embedded Kafka"}, err), &inUse) {
		return inUse
	}
	if cfg.Dir == "" {
		return fmt.Errorf("start the embedded Kafka: %w", err)
	}
	return fmt.Errorf("read the embedded Kafka's data in %s: %w: its broker was probably killed while it wrote; "+
		"move that folder away or delete it to start empty (its events are lost), and use a real Kafka where brokers are killed", cfg.Dir, err)
}

// Addrs returns the broker's address, for a client's seeds.
func (k *Kafka) Addrs() []string { return k.cluster.ListenAddrs() }

// Close ends the broker and saves its data; the error says what could not be
// saved. Clients see their connections end. A second call does nothing.
func (k *Kafka) Close() error {
	k.once.Do(func() {
		k.keeper.Close()
		k.cluster.Close()
		k.unlock()
		if k.lock != nil {
			k.err = k.log.failure()
		}
	})
	return k.err
}

func (k *Kafka) unlock() {
	if k.lock != nil {
		k.lock.Close()
	}
}

// kfakeLog passes warnings on and keeps errors, which is how kfake tells that
// it could not save.
type kfakeLog struct {
	out *slog.Logger

	mu   sync.Mutex
	errs []error
}

// Logf implements kfake.Logger.
func (l *kfakeLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		err := fmt.Errorf(format, args...)
		l.mu.Lock()
		l.errs = append(l.errs, err)
		l.mu.Unlock()
		l.out.Error("embedded kafka", "err", err)
	case kfake.LogLevelWarn:
		l.out.Log(context.Background(), slog.LevelWarn, "embedded kafka", "what", fmt.Sprintf(format, args...))
	case kfake.LogLevelNone, kfake.LogLevelInfo, kfake.LogLevelDebug:
	}
}

func (l *kfakeLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.errs...); err != nil {
		return fmt.Errorf("close the embedded Kafka: %w", err)
	}
	return nil
}
