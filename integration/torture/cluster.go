package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded"
	"github.com/dwellhq/dwell/topics"
)

// torture is a run.
type torture struct {
	o       options
	dir     string
	addrs   []string
	local   *embedded.Kafka     // with no real brokers
	real    *embedded.RealKafka // with some
	cl      *kgo.Client
	adm     *kadm.Client
	in      *input
	workers []*workerProc
	mounts  []string
	away    chan error // gets a token when the killed broker is back; nil: all are there
	skipped []string   // faults that this machine does not allow, and why
	kills   int        // kill -9 that hit a living process
	deaths  int        // workers that ended by themselves
}

// setUp starts brokers, input and workers. After an error nothing is left running.
func setUp(ctx context.Context, o options) (*torture, error) {
	t := &torture{o: o, dir: o.dir}
	steps := []func(context.Context) error{t.folder, t.brokers, t.topics, t.disks, t.start}
	for _, f := range steps {
		if err := f(ctx); err != nil {
			return nil, errors.Join(err, t.close(false))
		}
	}
	return t, nil
}

func (t *torture) folder(context.Context) (err error) {
	if t.dir == "" {
		t.dir, err = os.MkdirTemp("", "dwell-torture-")
	} else {
		err = os.MkdirAll(t.dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

func (t *torture) brokers(ctx context.Context) (err error) {
	if t.o.brokers == 0 {
		if t.local, err = embedded.StartKafka(embedded.KafkaConfig{}); err != nil {
			return err
		}
		t.addrs = t.local.Addrs()
	} else {
		t.real, err = embedded.StartRealKafka(ctx, embedded.RealKafkaConfig{
			Dir: filepath.Join(t.dir, "kafka"), Nodes: t.o.brokers, HeapMB: 384,
			Properties: map[string]string{
				"log.cleaner.backoff.ms": "500", "log.cleaner.dedupe.buffer.size": "20000000",
				// A killed broker may register again only when its last life has timed out.
				"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500",
			},
			Progress: func(s string) { fmt.Fprintln(t.o.out, "torture:", s) },
		})
		if err != nil {
			return err
		}
		t.addrs = t.real.Addrs()
	}
	if t.cl, err = kgo.NewClient(kgo.SeedBrokers(t.addrs...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RequestRetries(3)); err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	t.adm = kadm.NewClient(t.cl)
	return nil
}

// has says whether a fault takes part.
func (t *torture) has(f fault) bool { return slices.Contains(t.o.faults, f) }

// table is the table topic of a processor.
func (t *torture) table(name string) string { return t.group(name) + "-table" }

// group is the consumer group of a processor.
func (t *torture) group(name string) string {
	if t.o.stack == stackGoka {
		return name
	}
	return "dwell." + name
}

// topics makes all topics before a worker can: the tables with the hardest settings.
func (t *torture) topics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	set := func(kv ...string) map[string]*string {
		m := map[string]*string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = &kv[i+1]
		}
		return m
	}
	table := set("cleanup.policy", "compact")
	if t.has(compact) {
		table = set("cleanup.policy", "compact", "segment.ms", "1000", "segment.bytes", "1048576",
			"min.cleanable.dirty.ratio", "0", "min.compaction.lag.ms", "0", "max.compaction.lag.ms", "1000", "delete.retention.ms", "0")
	}
	letters := set("max.message.bytes", fmt.Sprint(topics.DeadLetters.MaxMessageBytes))
	for _, s := range []struct {
		name       string
		partitions int32
		settings   map[string]*string
	}{
		{countTopic, partitions, nil},
		{pulseTopic, partitions, nil},
		{topics.Actions.Name, partitions, nil},
		{topics.DeadLetters.Name, 1, letters},
		{t.table(countName), partitions, table},
		{t.table(idleName), partitions, table},
	} {
		if _, err := t.adm.CreateTopic(ctx, s.partitions, -1, s.settings, s.name); err != nil {
			return fmt.Errorf("create topic %s: %w", s.name, err)
		}
	}
	return nil
}

func (t *torture) start(context.Context) (err error) {
	t.crew()
	if t.in, err = startInput(t.o, t.addrs); err != nil {
		return err
	}
	return t.revive()
}

// nodes sends a signal to every broker that runs.
func (t *torture) nodes(s syscall.Signal) error {
	var errs []error
	for i, pid := range t.real.Pids() {
		if pid == 0 {
			continue
		}
		if err := syscall.Kill(pid, s); err != nil {
			errs = append(errs, fmt.Errorf("signal broker %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// close ends everything, in order, and removes the data when all was right and nobody asked to keep it.
func (t *torture) close(right bool) error {
	if t.in != nil {
		t.in.close()
	}
	for _, w := range t.workers {
		w.kill()
	}
	if t.cl != nil {
		t.cl.Close()
	}
	err := t.allBrokers()
	if t.local != nil {
		err = errors.Join(err, t.local.Close())
	}
	if t.real != nil {
		err = errors.Join(err, t.real.Close())
	}
	for _, m := range t.mounts {
		err = errors.Join(err, unmount(m))
	}
	if t.dir != "" && !t.o.keep && right {
		err = errors.Join(err, os.RemoveAll(t.dir))
	}
	return err
}
