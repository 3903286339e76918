package stream

import (
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dwellhq/dwell/processors"
)

// scrape sums each metric of a registry over its labels; of a histogram, the number and the sum.
func scrape(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for _, f := range all {
		for _, v := range f.Metric {
			name := f.GetName()
			for _, l := range v.Label {
				if l.GetName() == "outcome" {
					name += ":" + l.GetValue()
				}
			}
			m[name] += v.GetCounter().GetValue() + v.GetGauge().GetValue()
			if h := v.GetHistogram(); h != nil {
				m[name] += float64(h.GetSampleCount())
				m[name+":sum"] += h.GetSampleSum()
			}
		}
	}
	return m
}

func TestMetricsSayWhatHappened(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.counting()
	reg := prometheus.NewRegistry()
	cfg := w.config("a")
	cfg.Registerer = reg
	for i := range 2 { // the second run of one process takes the metrics over
		r := w.run(cfg, def)
		r.untilReady()
		w.sendNumbers(in, 500*i, 500*(i+1), 20)
		w.bad(in, 3)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(503*(i+1)) })
		got := scrape(t, reg)
		until(t, "counted", func() bool { // the brokers know of the commit before the processor has counted it
			got = scrape(t, reg)
			return got["dwell_transaction_records:sum"] == 503 && got["dwell_commit_seconds"] > 0 && got["dwell_transactions_total:commit"] > 0
		})
		for name, want := range map[string]float64{
			"dwell_records_total": 503, "dwell_transaction_records:sum": 503, "dwell_dead_letters_total": 3, "dwell_processor_ready": 1,
			"dwell_partitions": 4, "dwell_partitions_recovering": 0, "dwell_recovery_togo_records": 0, "dwell_recovery_seconds": 1,
			"dwell_row_cache_total:miss": 20, "dwell_row_cache_total:hit": 483, "dwell_transactions_total:abort": 0,
			"dwell_deadline_lag_seconds": 0, "dwell_registry_waits_total": 0, "dwell_recovery_rows_total": got["dwell_recovery_rows_total"],
		} {
			if v, ok := got[name]; !ok || v != want {
				t.Errorf("run %d: %s = %v (there %v), want %v", i, name, v, ok, want)
			}
		}
		for _, name := range []string{
			"dwell_transaction_bytes:sum", "dwell_commit_seconds", "dwell_transactions_total:commit", "dwell_rows_written_total",
			"dwell_kafka_produce_records_total", "dwell_kafka_fetch_uncompressed_bytes_total", "dwell_kafka_read_bytes_total",
		} {
			if got[name] <= 0 {
				t.Errorf("run %d: %s = %v", i, name, got[name])
			}
		}
		if i == 1 && got["dwell_recovery_rows_total"] < 20 {
			t.Errorf("%v rows recovered", got["dwell_recovery_rows_total"])
		}
		r.stop()
	}
}

func TestWhatStepsCountIsShownUnderTheProcessorsName(t *testing.T) {
	w := newWorld(t, brokers(t))
	in := numbers(w.name("in"))
	w.ensure(in.Spec)
	counter := &processors.Counter{Name: "test_numbers_total", Help: "Numbers.", Label: "kind", Values: []string{"even", "odd", "none"}}
	def := processors.Define(processors.Processor[tally]{
		Name: w.id, Row: tallyCodec{}, Counters: []*processors.Counter{counter},
		Inputs: []processors.Input[tally]{processors.On(in, func(t *processors.Turn[tally], v uint64) {
			processors.Count(t, counter, int(v%2))
		})},
	})
	reg := prometheus.NewRegistry()
	cfg := w.config("a")
	cfg.Registerer = reg
	r := w.run(cfg, def)
	r.untilReady()
	w.sendNumbers(in, 0, 301, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 301 })
	r.stop()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		for _, v := range f.Metric {
			if f.GetName() == counter.Name {
				got[v.Label[0].GetName()+" "+v.Label[0].GetValue()+" of "+v.Label[1].GetValue()] = v.GetCounter().GetValue()
			}
		}
	}
	want := map[string]float64{"kind even of " + def.Name: 151, "kind odd of " + def.Name: 150, "kind none of " + def.Name: 0}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// A client that is lost and made anew goes on with the metrics of its predecessor's name.
func TestMetricsOutliveAClient(t *testing.T) {
	at := fake(t)
	w := newWorld(t, at)
	def, in, out := w.counting()
	reg := prometheus.NewRegistry()
	cfg := w.config("a")
	cfg.Registerer = reg
	r := w.run(cfg, def)
	r.untilReady()
	at.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidProducerEpoch, Count: 1})
	w.sendNumbers(in, 0, 500, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 500 })
	if got := scrape(t, reg); got["dwell_kafka_produce_records_total"] <= 0 || got["dwell_recovery_seconds"] != 2 {
		t.Errorf("%v records, %v assignments", got["dwell_kafka_produce_records_total"], got["dwell_recovery_seconds"])
	}
	r.stop()
	for name := range scrape(t, reg) {
		if strings.HasPrefix(name, "dwell_kafka_") {
			t.Errorf("%s outlives its client", name)
		}
	}
	w.checkCounts(def, out, 500, 20)
}

// Ready means that brokers answer, too.
func TestSilentBrokersMakeAProcessorUnready(t *testing.T) {
	at := fake(t)
	w := newWorld(t, at)
	def, in, _ := w.counting()
	p, err := New(w.config("a"), def)
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	p.shared.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p.ready.Store(true)
	for silent, ready := range map[time.Duration]bool{0: true, silence - time.Second: true, silence: false, time.Hour: false} {
		if p.heard.Store(p.shared.Now().Add(-silent).UnixMilli()); p.Ready() != ready {
			t.Errorf("brokers silent for %v: ready %v", silent, !ready)
		}
	}
	p.ready.Store(false)
	r := w.start(p)
	r.untilReady()
	ahead.Store(int64(time.Hour))
	until(t, "ready again, as brokers answer", r.Ready)
	w.sendNumbers(in, 0, 20, 20)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 20 })
	at.fake.Close()
	until(t, "connections are gone", func() bool { ahead.Add(int64(silence)); return !r.Ready() })
	ahead.Add(int64(silence))
	if r.Ready() {
		t.Error("ready without brokers")
	}
	r.stop()
}
