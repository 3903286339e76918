package stock

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/embedded/kafkatest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
	"github.com/dwellhq/dwell/worker"
)

// keeping is a processor whose rows are the newest records of a topic.
func keeping[T any](name string, from topics.Topic[T]) *processors.Def {
	return processors.Define(processors.Processor[T]{Name: name, Inputs: []processors.Input[T]{
		processors.On(from, func(t *processors.Turn[T], v T) { *t.State = v }),
	}})
}

// site is brokers in this process.
type site struct {
	t   *testing.T
	cfg worker.Config
	cl  *kgo.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, cfg: worker.Config{Config: kafka.DefaultConfig(), Data: t.TempDir(), Instance: "w"}}
	s.cfg.Brokers, s.cfg.Partitions = kafkatest.Start(t).ListenAddrs(), 4
	var err error
	if s.cl, err = s.cfg.NewClient("shop"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cl.Close)
	return s
}

// run starts a worker; stop ends it.
func (s *site) run(defs ...*processors.Def) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	w, err := worker.New(ctx, s.cfg, prometheus.NewRegistry(), defs...)
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	s.until("the worker is ready", func() bool { return w.Ready() == nil })
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("worker: %v", err)
		}
	}
}

func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited for: %s", what)
		}
	}
}

func send[T any](s *site, topic topics.Topic[T], key string, v T, at time.Time) {
	s.t.Helper()
	b, err := topic.Codec.Append(nil, v)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cl.ProduceSync(s.t.Context(), &kgo.Record{Topic: topic.Name, Key: []byte(key), Value: b, Timestamp: at}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// read is how many records of a topic a processor has stepped.
func (s *site) read(processor, topic string) (n int64) {
	o, err := kadm.NewClient(s.cl).FetchOffsets(s.t.Context(), "dwell."+processor)
	if err != nil {
		return -1
	}
	for _, r := range o.Offsets()[topic] {
		n += max(r.At, 0)
	}
	return n
}

// row is the state that a key has in the stock's table; empty: none.
func (s *site) row(key string) (state string) {
	s.t.Helper()
	for _, r := range s.records("dwell.stock-table") {
		if string(r.Key) != key {
			continue
		}
		var row schemas.Row
		if err := row.UnmarshalVT(r.Value); err != nil {
			s.t.Fatal(err)
		}
		state = string(row.State)
	}
	return state
}

// all is what is committed in a topic now.
func all[T any](s *site, topic topics.Topic[T]) (got []T) {
	s.t.Helper()
	for _, r := range s.records(topic.Name) {
		v, err := topic.Codec.Decode(r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

func (s *site) records(topic string) (got []*kgo.Record) {
	s.t.Helper()
	cl, err := s.cfg.NewClient("reader", kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 300*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		got = append(got, cl.PollFetches(ctx).Records()...)
	}
	return got
}

// The same shop on brokers: the processors of customers and prices run apart, then the stock joins them.
// One order is paid; another's reservation runs out, across a restart, and the product goes on.
func TestStockOnBrokers(t *testing.T) {
	s := newSite(t)
	customers, prices := topics.Stream[Customer]("shop.customers.v1"), topics.Stream[Price]("shop.prices.v1")
	stop := s.run(keeping("customers", customers), keeping("prices", prices))
	start := time.Now().Add(-time.Hour)
	send(s, customers, ann, Customer{"Ann"}, start)
	send(s, customers, bob, Customer{"Bob"}, start)
	send(s, prices, pen, Price{250}, start)
	s.until("customers and prices are known", func() bool { return s.read("customers", customers.Name) == 2 && s.read("prices", prices.Name) == 1 })
	stop()

	stop = s.run(Processor)
	send(s, Deliveries, pen, Delivery{1}, start)
	s.until("a pen is there", func() bool { return s.read("stock", Deliveries.Name) == 1 })
	send(s, Orders, bob, Order{Product: pen}, time.Now().Add(2*time.Second-Hold))
	s.until("bob has it", func() bool { return strings.Contains(s.row(bob), "Reserved") || len(all(s, topics.Actions)) == 1 })
	stop()
	stop = s.run(Processor)
	s.until("bob's hold is over, by the clock", func() bool { return len(all(s, topics.Actions)) == 1 })
	s.until("the pen is back", func() bool { return s.row(pen) == `{"Left":1}` })
	now := time.Now()
	send(s, Orders, ann, Order{Product: pen}, now)
	s.until("ann has it", func() bool { return strings.Contains(s.row(ann), "Reserved") })
	send(s, Orders, ann, Order{Paid: true}, now.Add(time.Second))
	s.until("an invoice", func() bool { return len(all(s, Invoices)) == 1 })
	stop()
	if got := all(s, Invoices)[0]; got != (Invoice{Name: "Ann", Product: pen, Cents: 250}) {
		t.Errorf("invoice %+v", got)
	}
	if got := all(s, topics.Actions); len(got) != 1 || got[0].User != "bob" || got[0].Campaign != "reservation-over" {
		t.Errorf("actions %v", got)
	}
}
