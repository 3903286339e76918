package standby

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/placement"
	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/kafka/stream/table"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

const patience = 30 * time.Second

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// world is a table topic of two partitions.
type world struct {
	t      *testing.T
	fake   *kfake.Cluster
	cfg    kafka.Config
	cl     *kgo.Client
	admin  *broker.Admin
	shared *table.Shared
	dir    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	compact := "compact"
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &world{t: t, fake: c, cfg: kafka.DefaultConfig(), dir: t.TempDir()}
	w.cfg.Brokers = c.ListenAddrs()
	if w.cl, err = w.cfg.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("writer")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	if w.admin, err = broker.New(w.cfg, "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.admin.Close)
	if err := w.admin.Create(t.Context(), "table", 2, map[string]string{"cleanup.policy": compact}); err != nil {
		t.Fatal(err)
	}
	def := processors.Define(processors.Processor[struct{}]{
		Name: "test", Wake: func(*processors.Turn[struct{}]) {},
		Inputs: []processors.Input[struct{}]{processors.On(topics.Stream[int]("in"), func(*processors.Turn[struct{}], int) {})},
	})
	w.shared = &table.Shared{Def: def, Topic: "table", CacheBytes: 1 << 20, Count: &table.Counters{}, Now: time.Now, Log: slog.Default()}
	return w
}

// write makes one transaction of rows in a partition: i's deadline is ms, or it is deleted.
func (w *world) write(partition int32, commit bool, ms int64, keys ...int) {
	w.t.Helper()
	if err := w.cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	var recs []*kgo.Record
	for _, i := range keys {
		r := &kgo.Record{Topic: "table", Partition: partition, Key: []byte(fmt.Sprint("acme/", i))}
		if ms >= 0 {
			row := schemas.Row{WakeMs: ms, State: make([]byte, 100)}
			r.Value, _ = row.MarshalVT()
		}
		recs = append(recs, r)
	}
	if err := w.cl.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cl.EndTransaction(w.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		w.t.Fatal(err)
	}
}

func upTo(n int) (keys []int) {
	for i := range n {
		keys = append(keys, i)
	}
	return keys
}

func (w *world) open(ctx context.Context, number int32) (*table.Partition, error) {
	id, _, err := w.admin.Topic(ctx, "table", 0)
	if err != nil {
		return nil, err
	}
	span, err := w.admin.Span(ctx, "table", number)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(filepath.Join(w.dir, strconv.Itoa(int(number))), nil, nil)
	if err != nil {
		return nil, err
	}
	if !s.Fits(id, span.Start, span.End) {
		if err := s.Reset(id); err != nil {
			return nil, err
		}
	}
	return table.New(w.shared, number, s), nil
}

// run starts a set; stop ends it.
func (w *world) run() (s *Set, stop func()) {
	w.t.Helper()
	s = New(Config{
		Kafka: w.cfg, ClientID: "standby", Topic: "table", Dir: w.dir, Keep: time.Minute, Ends: w.admin, Open: w.open,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			w.t.Fatal("Run does not end")
		}
	}
	w.t.Cleanup(stop)
	return s, stop
}

// end waits until a copy has all that is committed, and returns its status.
func (w *world) end(s *Set, number int32) (st Status) {
	w.t.Helper()
	until(w.t, "the copy has it all", func() bool {
		spans, err := w.admin.Decided(w.t.Context(), "table")
		if err != nil {
			return false
		}
		for _, st = range s.Status() {
			if st.Number == number && st.Next >= spans["table"][number].End {
				return true
			}
		}
		return false
	})
	return st
}

// take hands a copy over and checks its rows by their deadlines.
func (w *world) take(s *Set, number int32, deadlines int) {
	w.t.Helper()
	p := s.Take(number)
	if p == nil {
		w.t.Fatal("there is no copy")
	}
	if p.Deadlines() != deadlines {
		w.t.Errorf("partition %d has %d deadlines, want %d", number, p.Deadlines(), deadlines)
	}
	if err := p.Close(); err != nil {
		w.t.Error(err)
	}
}

func TestCopyHasWhatWasCommitted(t *testing.T) {
	w := newWorld(t)
	s, stop := w.run()
	w.write(0, true, 7, upTo(500)...)
	s.Assign([]int32{1}, []int32{0})
	w.end(s, 0)
	if c := s.Claims(); c[0] != placement.Copy || c[1] != placement.Nothing {
		t.Errorf("claims %v", c)
	}
	w.write(0, true, -1, upTo(100)...) // deleted
	w.write(0, false, 7, 1, 2, 3)      // never happened
	w.write(0, true, 0, 200, 201)      // no deadline any more
	w.write(0, true, 9, 1)
	w.end(s, 0)
	w.write(1, true, 7, upTo(10)...)
	s.Assign([]int32{0}, []int32{1})
	w.take(s, 0, 500-100-2+1)
	if s.Take(0) != nil {
		t.Error("a copy was handed over twice")
	}
	if st := w.end(s, 1); st.Rows != 11 { // a marker among them
		t.Errorf("the other copy read %d records", st.Rows)
	}
	s.Assign([]int32{0, 1}, nil)
	stop()
	if s.Take(1) != nil {
		t.Error("a copy outlived Run")
	}
}

func TestCopyGoesOnFromItsStore(t *testing.T) {
	w := newWorld(t)
	w.write(0, true, 7, upTo(500)...)
	s, stop := w.run()
	s.Assign(nil, []int32{0})
	w.end(s, 0)
	stop()
	w.write(0, true, 7, 1000, 1001)
	s, _ = w.run()
	if c := s.Claims(); c[0] != placement.Stale {
		t.Errorf("claims %v", c)
	}
	s.Assign(nil, []int32{0})
	if st := w.end(s, 0); st.Rows != 3 {
		t.Errorf("it read %d records, want two and a marker", st.Rows)
	}
	w.take(s, 0, 502)
}

func TestDamagedStoreIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { b[len(b)/3] ^= 0x55; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(0, true, 7, upTo(3000)...)
			s, stop := w.run()
			s.Assign(nil, []int32{0})
			w.end(s, 0)
			stop()
			s, stop = w.run() // a second life moves the rows into a table
			s.Assign(nil, []int32{0})
			w.end(s, 0)
			stop()
			files, err := filepath.Glob(filepath.Join(w.dir, "0", "*.sst"))
			if err != nil || len(files) == 0 {
				t.Fatalf("tables: %v %v", files, err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(f, damage(b), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, _ = w.run()
			s.Assign(nil, []int32{0})
			if st := w.end(s, 0); st.Rows != 3001 {
				t.Errorf("it read %d records, want all", st.Rows)
			}
			w.take(s, 0, 3000)
		})
	}
}

// Compaction may take what a copy was about to read, and the last records of the log.
func TestCopyOfATableThatIsCompacted(t *testing.T) {
	w := newWorld(t)
	s, stop := w.run()
	s.Assign(nil, []int32{0})
	for range 10 {
		w.write(0, true, 7, upTo(100)...)
	}
	w.end(s, 0)
	stop()
	for ms := range int64(20) {
		w.write(0, true, 100+ms, upTo(100)...)
	}
	w.write(0, true, -1, upTo(50)...)
	w.fake.Compact()
	s, _ = w.run()
	s.Assign(nil, []int32{0})
	w.end(s, 0)
	w.fake.Compact()
	w.write(0, true, 7, 500)
	w.end(s, 0)
	w.take(s, 0, 51)
}

func TestStoresThatNobodyNeedsAreDropped(t *testing.T) {
	w := newWorld(t)
	w.write(0, true, 7, upTo(10)...)
	w.write(1, true, 7, upTo(10)...)
	s, stop := w.run()
	s.Assign(nil, []int32{0, 1})
	w.end(s, 0)
	w.end(s, 1)
	stop()
	if err := os.Mkdir(filepath.Join(w.dir, "007"), 0o755); err != nil { // nothing of ours
		t.Fatal(err)
	}
	s, _ = w.run()
	now := time.Now()
	s.Sweep(now)
	s.Sweep(now.Add(time.Hour))
	if n := len(s.stored()); n != 2 {
		t.Fatalf("%d stores are left before the group has said what it wants", n)
	}
	s.Assign([]int32{1}, nil)
	s.Sweep(now)
	s.Sweep(now.Add(59 * time.Second))
	if n := len(s.stored()); n != 2 {
		t.Fatalf("%d stores are left too early", n)
	}
	s.Sweep(now.Add(time.Minute))
	if got := s.stored(); len(got) != 1 || got[0] != 1 {
		t.Fatalf("stores %v are left", got)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "007")); err != nil {
		t.Error(err)
	}
}
