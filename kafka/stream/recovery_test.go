package stream

import (
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recovered is how many rows all partitions read from the topic.
func (r *running) recovered() (n int64) {
	for _, p := range r.Status().Partitions {
		n += p.Recovered
	}
	return n
}

func TestRestartFindsItsRowsAndALostDiskReadsThemAgain(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	const users, part = 500, 2000
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	run := func(n int) (recovered int64) {
		w.sendNumbers(in, n*part, (n+1)*part, users)
		r := w.run(cfg, def)
		r.untilReady()
		recovered = r.recovered()
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64((n+1)*part) })
		r.stop()
		return recovered
	}
	if n := run(0); n != 0 {
		t.Errorf("an empty table gave %d rows", n)
	}
	if n := run(1); n != 0 {
		t.Errorf("the restart read %d rows again that it had", n)
	}
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if n := run(2); n < users {
		t.Errorf("after the loss of the disk %d rows were read, want %d at least", n, users)
	}
	w.checkCounts(def, out, 3*part, users)
}

// The table was made anew: what the disk holds is of another one, although it is longer.
func TestStoreOfAnotherTableIsEmptied(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.counting()
	cfg := w.config("a")
	cfg.Dir = t.TempDir()
	r := w.run(cfg, def)
	w.sendNumbers(in, 0, 1000, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1000 })
	r.stop()
	if _, err := w.adm.DeleteTopics(t.Context(), r.shared.Topic); err != nil {
		t.Fatal(err)
	}
	until(t, "the table is gone", func() bool {
		found, err := w.adm.ListTopics(t.Context(), r.shared.Topic)
		return err == nil && found[r.shared.Topic].Err != nil
	})
	r = w.run(cfg, def)
	w.sendNumbers(in, 0, 100, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1100 })
	r.stop()
	for i := range 10 {
		got, err := tallyCodec{}.Decode(w.rows(def)[user(i)])
		if err != nil || got.N != 10 {
			t.Errorf("row of %s: %+v %v, want 10 events", user(i), got, err)
		}
	}
}

// A dead instance left a transaction open on the table: recovery must not wait until it times out.
func TestTransactionOfADeadInstanceIsAborted(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, out := w.counting()
	r := w.run(w.config("a"), def)
	w.sendNumbers(in, 0, 100, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 100 })
	r.stop()

	dead, err := w.cfg.NewClient("dead", kgo.TransactionalID(r.group+"-dead"), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	if err := dead.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(4) {
		if err := dead.ProduceSync(t.Context(), &kgo.Record{Topic: r.shared.Topic, Partition: p, Key: []byte(user(1)), Value: []byte("never")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	r = w.run(w.config("b"), def)
	r.untilReady()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("ready after %v", took)
	}
	w.sendNumbers(in, 100, 200, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 200 })
	r.stop()
	w.checkCounts(def, out, 200, 10)
}

// The rows of an old and large table come back, whatever became of the table's first records.
func TestTableThatLostItsFirstRecordsIsRecovered(t *testing.T) {
	w := newWorld(t, brokers(t))
	w.cfg.Partitions = 1
	def, in, _ := w.counting()
	r := w.run(w.config("a"), def)
	for i := range 5 {
		w.sendNumbers(in, 0, 10, 10)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(i+1)*10 })
	}
	r.stop()
	end := w.ends(r.shared.Topic)[0]
	policy := "compact,delete" // else a real broker deletes nothing
	if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, r.shared.Topic); err != nil {
		t.Fatal(err)
	}
	cut := offsets(r.shared.Topic, 0, end-11) // the last transaction: ten rows and a marker
	until(t, "the first records are gone", func() bool {
		_, err := w.adm.DeleteRecords(t.Context(), cut)
		l, lerr := w.adm.ListStartOffsets(t.Context(), r.shared.Topic)
		return err == nil && lerr == nil && l[r.shared.Topic][0].Offset == end-11
	})
	r = w.run(w.config("a"), def)
	r.untilReady()
	if n := r.recovered(); n == 0 || n > 10 {
		t.Errorf("%d rows recovered", n)
	}
	w.sendNumbers(in, 0, 10, 10)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 60 })
	r.stop()
	got, err := tallyCodec{}.Decode(w.rows(def)[user(3)])
	if err != nil || got.N != 6 {
		t.Errorf("row: %+v %v", got, err)
	}
}

func TestCompactedTableIsRecovered(t *testing.T) {
	where := fake(t)
	w := newWorld(t, where)
	def, in, out := w.counting()
	r := w.run(w.config("a"), def)
	for i := range 20 {
		w.sendNumbers(in, i*100, (i+1)*100, 100)
		until(t, "committed", func() bool { return w.committed(def, in.Name) == int64(i+1)*100 })
	}
	r.stop()
	where.fake.Compact()
	r = w.run(w.config("a"), def)
	r.untilReady()
	if n := r.recovered(); n < 100 || n > 500 {
		t.Errorf("%d rows recovered from a compacted table of 100", n)
	}
	w.sendNumbers(in, 2000, 2100, 100)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 2100 })
	r.stop()
	w.checkCounts(def, out, 2100, 100)
}
