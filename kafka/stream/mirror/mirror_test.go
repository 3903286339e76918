package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

const patience = 60 * time.Second

var (
	people = processors.TableDef{AnyTable: &processors.Table[string]{Processor: "people"}}
	list   = processors.TableDef{AnyTable: &processors.Table[string]{Processor: "list"}, Whole: true}
)

type world struct {
	t       testing.TB
	cfg     Config
	cl      *kgo.Client
	backlog []*kgo.Record
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, cfg: Config{Kafka: kafka.DefaultConfig(), ClientID: "test", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}}
	w.cfg.Kafka.Brokers, w.cfg.Kafka.Partitions = c.ListenAddrs(), 3
	if err := kafka.Ensure(t.Context(), w.cfg.Kafka, people.Topic(), list.Topic()); err != nil {
		t.Fatal(err)
	}
	if w.cl, err = w.cfg.Kafka.NewClient("producer"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	if w.cfg.Admin, err = broker.New(w.cfg.Kafka, "admin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cfg.Admin.Close)
	return w
}

func (w *world) put(table processors.TableDef, recs ...*kgo.Record) {
	w.t.Helper()
	for _, r := range recs {
		r.Topic = table.Topic().Name
	}
	if err := w.cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

func row(key, value string) *kgo.Record {
	r := &kgo.Record{Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// with runs what reads the tables.
func (w *world) with(run func(ctx context.Context, m *Mirror) error) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	m, err := Open(ctx, w.cfg, []processors.TableDef{people, list})
	if err != nil {
		return err
	}
	return m.Beside(ctx, func(ctx context.Context) error { return run(ctx, m) })
}

func get(m *Mirror, number int32, table int, key string) string {
	_, release := m.Hold(number)
	defer release()
	b, err := m.Row(number, table, key)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// numberOf is the partition that the producer chose.
func (w *world) numberOf(table processors.TableDef, key string) int32 {
	w.t.Helper()
	r := row(key, "x")
	r.Topic = table.Topic().Name
	if err := w.cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return r.Partition
}

// Everything that was there at the start is in force before anybody reads, also after a restart with
// some stores lost, damaged or too old.
func TestTablesAreWholeBeforeTheyAreRead(t *testing.T) {
	w := newWorld(t)
	mine := w.numberOf(people, "last")
	var rows, entries []*kgo.Record
	for i := range 30_000 {
		rows, entries = append(rows, row(fmt.Sprint("k", i), "v")), append(entries, row(fmt.Sprint("k", i), "v"))
	}
	w.put(people, append(rows, row("last", "1"))...)
	w.put(list, append(entries, row("last", "1"))...)
	for round, spoil := range []func(dir string){
		func(string) {},
		func(dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
		func(dir string) {
			haunted(t, dir)
			aged(t, dir, 13*time.Hour)
		},
	} {
		for _, topic := range []string{people.Topic().Name, list.Topic().Name} {
			for n := range 3 {
				if dir := filepath.Join(w.cfg.Dir, topic, fmt.Sprint(n)); round > 0 {
					if _, err := os.Stat(dir); err == nil {
						spoil(dir)
					}
				}
			}
		}
		err := w.with(func(ctx context.Context, m *Mirror) error {
			if got := get(m, 0, 1, "last"); got != fmt.Sprint(round+1) {
				t.Errorf("round %d: looked up %q", round, got)
			}
			if got := get(m, 0, 1, "ghost"); got != "" {
				t.Errorf("an old store knows a row that is gone: %q", got)
			}
			if err := m.Assign(ctx, []int32{mine}, func() {}); err != nil {
				return err
			}
			if err := m.Await(ctx); err != nil {
				return err
			}
			next, release := m.Hold(mine)
			release()
			if got := get(m, mine, 0, "last"); got != fmt.Sprint(round+1) || len(next) != 4 || next[0] == 0 {
				t.Errorf("round %d: joined %q, at %v", round, got, next)
			}
			return m.Release()
		})
		if err != nil {
			t.Fatal(err)
		}
		w.put(people, row("last", fmt.Sprint(round+2)))
		w.put(list, row("last", fmt.Sprint(round+2)))
	}
}

// What is held does not move, and moves on after it, tombstones too.
func TestHeldTablesStandStill(t *testing.T) {
	w := newWorld(t)
	mine := w.numberOf(people, "a")
	w.put(list, row("a", "1"))
	err := w.with(func(ctx context.Context, m *Mirror) error {
		if err := errors.Join(m.Assign(ctx, []int32{0, 1, 2}, func() {}), m.Await(ctx)); err != nil {
			return err
		}
		before, release := m.Hold(mine)
		w.put(people, row("a", "2"))
		w.put(list, row("a", ""))
		w.numberOf(list, "b")
		again, err := m.Row(mine, 0, "a")
		if err != nil || string(again) != "x" {
			t.Errorf("while held: %q, %v", again, err)
		}
		release()
		for end := time.Now().Add(patience); get(m, mine, 0, "a") != "2" || get(m, mine, 1, "a") != "" || get(m, mine, 1, "b") != "x"; {
			if time.Now().After(end) {
				t.Fatal("the tables do not move on")
			}
			<-time.After(time.Millisecond)
		}
		if after, release := m.Hold(mine); after[0] <= before[0] {
			t.Errorf("at %v, before %v", after, before)
		} else {
			release()
		}
		if err := m.Release(); err != nil {
			t.Error(err)
		}
		if got := get(m, mine, 0, "a"); got == "2" {
			t.Error("a released table is read")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A table that was made anew has nothing to do with the stores of the old one.
func TestStoreOfAnotherTopicIsEmptied(t *testing.T) {
	w := newWorld(t)
	w.put(list, row("old", "1"), row("older", "1"))
	read := func(key string) (got string) {
		if err := w.with(func(_ context.Context, m *Mirror) error { got = get(m, 0, 1, key); return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read("old"); got != "1" {
		t.Fatal(got)
	}
	adm := kadm.NewClient(w.cl)
	if _, err := adm.DeleteTopic(t.Context(), list.Topic().Name); err != nil {
		t.Fatal(err)
	}
	if err := kafka.Ensure(t.Context(), w.cfg.Kafka, topics.Table("list", 1)); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.cfg.Kafka.NewClient("fresh") // the old one knows the topic by its id
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.Close)
	w.cl = fresh
	for i := range 30 { // so many that the old store is not ahead of any partition
		w.put(list, row(fmt.Sprint("new", i), "1"))
	}
	if got := read("old"); got != "" {
		t.Errorf("a row of the old topic: %q", got)
	}
}

func TestMissingTableIsAnError(t *testing.T) {
	w := newWorld(t)
	gone := processors.TableDef{AnyTable: &processors.Table[string]{Processor: "gone"}, Whole: true}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := Open(ctx, w.cfg, []processors.TableDef{list, gone}); err == nil {
		t.Error("opened")
	}
	// The stores of the first are free again.
	if err := w.with(func(context.Context, *Mirror) error { return nil }); err != nil {
		t.Error(err)
	}
}
