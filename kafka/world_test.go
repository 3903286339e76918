package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

// patience is the deadline of every wait in the tests.
const patience = 30 * time.Second

// world is a fake cluster and a client of it.
type world struct {
	*testing.T
	cluster *kfake.Cluster
	cfg     Config
	cl      *kgo.Client
	adm     *kadm.Client
	ctx     context.Context
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{T: t, cluster: c, cfg: DefaultConfig()}
	w.cfg.Brokers, w.cfg.Partitions = c.ListenAddrs(), 4
	if w.cl, err = w.cfg.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	w.adm = kadm.NewClient(w.cl)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w.ctx = ctx
	return w
}

// make creates a topic with exactly these settings.
func (w *world) make(name string, partitions int32, replicas int16, config map[string]string) {
	w.Helper()
	set := map[string]*string{}
	for k, v := range config {
		set[k] = &v
	}
	if _, err := w.adm.CreateTopic(w.ctx, partitions, replicas, set, name); err != nil {
		w.Fatal(err)
	}
}

// has fails unless the topic has so many partitions and these settings.
func (w *world) has(name string, partitions int, config map[string]string) {
	w.Helper()
	list, err := w.adm.ListTopics(w.ctx, name)
	if err != nil {
		w.Fatal(err)
	}
	if n := len(list[name].Partitions); n != partitions {
		w.Errorf("%s has %d partitions, want %d", name, n, partitions)
	}
	if len(config) == 0 {
		return
	}
	all, err := w.adm.DescribeTopicConfigs(w.ctx, name)
	if err != nil {
		w.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range all[0].Configs {
		got[c.Key] = c.MaybeValue()
	}
	for k, v := range config {
		if got[k] != v {
			w.Errorf("%s has %s=%s, want %s", name, k, got[k], v)
		}
	}
}

// stream is a topic keyed by user.
func stream(name string) *topics.Spec { return &topics.Spec{Name: name, Retention: 24 * time.Hour} }
