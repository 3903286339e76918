package mirror

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/kafka/stream/broker"
	"github.com/dwellhq/dwell/kafka/stream/store"
	"github.com/dwellhq/dwell/processors"
)

// TestMain lets the test binary be a process that follows a table, to be killed.
func TestMain(m *testing.M) {
	if addrs := os.Getenv("DWELL_MIRROR_FOLLOWS"); addrs != "" {
		if err := followUntilKilled(addrs, os.Getenv("DWELL_MIRROR_DIR"), os.Getenv("DWELL_MIRROR_STOPS")); err != nil {
			fmt.Fprintln(os.Stderr, "follow:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// turnstile is a client's hook that lets records pass up to an offset, and says when that has come.
type turnstile struct {
	stop   int64 // the first offset that must wait; -1: none
	came   func()
	opened chan struct{}
	passed atomic.Int64
}

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered.
func (s *turnstile) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if !polled {
		return
	}
	s.passed.Add(1)
	if r.Offset == s.stop {
		s.came()
		<-s.opened
	}
}

// followUntilKilled stands still at an offset, says so, and waits.
func followUntilKilled(addrs, dir, stop string) error {
	at, err := strconv.ParseInt(stop, 10, 64)
	if err != nil {
		return err
	}
	s := &turnstile{stop: at, came: func() { fmt.Println("here") }}
	cfg := Config{Kafka: kafka.DefaultConfig(), ClientID: "victim", Dir: dir, Log: slog.New(slog.DiscardHandler)}
	cfg.Kafka.Brokers, cfg.Kafka.Extra = strings.Split(addrs, ","), []kgo.Opt{kgo.WithHooks(s)}
	ctx := context.Background()
	if cfg.Admin, err = broker.New(cfg.Kafka, "admin"); err != nil {
		return err
	}
	m, err := Open(ctx, cfg, []processors.TableDef{list})
	if err != nil {
		return err
	}
	return m.Beside(ctx, func(context.Context) error { return errors.New("it was not killed") })
}

const (
	longRows = 60_000 // of the partition that long fills: some three tables' worth
	longKeys = 20_000
)

// long fills a partition of list with rows that come again, one in five of them deleted at last.
func (w *world) long() (number int32) {
	w.t.Helper()
	for i := range longRows {
		r := row(fmt.Sprint("k", i%longKeys), strconv.Itoa(i)+strings.Repeat("x", 400))
		if i/longKeys == longRows/longKeys-1 && i%5 == 0 {
			r.Value = nil
		}
		r.Partition = 1
		w.backlog = append(w.backlog, r)
		if len(w.backlog) == 10_000 {
			w.put(list, w.backlog...)
			w.backlog = w.backlog[:0]
		}
	}
	return 1
}

// pinned makes the producer put records where they say.
func (w *world) pinned() *world {
	w.t.Helper()
	cl, err := w.cfg.Kafka.NewClient("pinned", kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	w.cl = cl
	return w
}

// A table that is killed in the middle of being read keeps a part of it, goes on from there, and is whole.
func TestKilledWhileCatchingUpGoesOn(t *testing.T) {
	w := newWorld(t).pinned()
	number := w.long()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.cfg.Dir, list.Topic().Name, fmt.Sprint(number))
	last := int64(-1)
	for _, stop := range []int64{longRows / 2, longRows - 10} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "DWELL_MIRROR_FOLLOWS="+strings.Join(w.cfg.Kafka.Brokers, ","), "DWELL_MIRROR_DIR="+w.cfg.Dir, fmt.Sprint("DWELL_MIRROR_STOPS=", stop))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if said := bufio.NewScanner(out); !said.Scan() || said.Text() != "here" {
			t.Fatalf("it ended by itself: %v", cmd.Wait())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed, and says so
		s, err := store.Open(dir, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := s.Offset()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if at <= last || at >= stop {
			t.Fatalf("killed at %d: the store is at %d, before %d", stop, at, last)
		}
		t.Logf("killed at %d, the store is at %d", stop, at)
		last = at
	}
	seen := &turnstile{stop: -1}
	w.cfg.Kafka.Extra = []kgo.Opt{kgo.WithHooks(seen)}
	err = w.with(func(_ context.Context, m *Mirror) error {
		w.wantLong(m, number)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := seen.passed.Load(); got > longRows-last || got < longRows-last-1 {
		t.Errorf("%d records were read, %d were missing", got, longRows-1-last)
	}
}

// wantLong checks every row that long left behind.
func (w *world) wantLong(m *Mirror, number int32) {
	w.t.Helper()
	_, release := m.Hold(number)
	defer release()
	wrong := 0
	for k := range longKeys {
		i := longRows - longKeys + k
		want := strconv.Itoa(i) + strings.Repeat("x", 400)
		if i%5 == 0 {
			want = ""
		}
		got, err := m.whole[1].row(number, fmt.Sprint("k", k))
		if (err != nil || string(got) != want) && wrong < 5 {
			wrong++
			w.t.Errorf("row k%d: %.20q %v, want %.20q", k, got, err, want)
		}
	}
}

// What is read before a table has caught up is the newest row that came, by however many at once, and does
// no harm to the rows that still come.
func TestRowsAreThereWhileTheyAreGathered(t *testing.T) {
	w := newWorld(t).pinned()
	number := w.long()
	came := make(chan struct{})
	stop := &turnstile{stop: longRows / 2, came: func() { close(came) }, opened: make(chan struct{})}
	w.cfg.Kafka.Extra = []kgo.Opt{kgo.WithHooks(stop)}
	m, err := Open(t.Context(), w.cfg, []processors.TableDef{people, list})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-came:
		case <-time.After(patience):
			t.Error("the middle is not reached")
		}
		before := m.Next(1)[number] // what comes before is in force, from here on it waits at the turnstile
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for i := before - 100; i < before; i++ {
					_, release := m.Hold(0)
					got, err := m.whole[1].row(number, fmt.Sprint("k", i%longKeys))
					if release(); err != nil || !strings.HasPrefix(string(got), strconv.FormatInt(i, 10)+"x") {
						t.Errorf("row k%d, offset %d: %.20q %v", i%longKeys, i, got, err)
						return
					}
				}
			})
		}
		readers.Wait()
		if before == 0 || before > stop.stop {
			t.Errorf("in force up to %d", before)
		}
		close(stop.opened)
	})
	if err := m.Beside(t.Context(), func(context.Context) error { w.wantLong(m, number); return nil }); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// However many partitions a table has, what they gather is written before it takes much memory.
func TestManyPartitionsGatherLittle(t *testing.T) {
	const parts = 10
	f := &follower{topic: "many", index: map[int32]int{}, ready: make(chan struct{}), next: make([]int64, parts)}
	dirs := t.TempDir()
	for i := range parts {
		s, err := store.Open(filepath.Join(dirs, strconv.Itoa(i)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.index[int32(i)], f.stores = i, append(f.stores, s)
	}
	value := bytes.Repeat([]byte("x"), bulkBytes/parts/10)
	for offset := range int64(11) {
		var fetches kgo.Fetches
		for n := range int32(parts) {
			r := &kgo.Record{Key: fmt.Append(nil, offset), Value: value, Offset: offset, Partition: n}
			p := kgo.FetchPartition{Partition: n, Records: []*kgo.Record{r}}
			fetches = append(fetches, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "many", Partitions: []kgo.FetchPartition{p}}}})
		}
		if err := f.write(fetches, false); err != nil {
			t.Fatal(err)
		}
	}
	if f.gathered >= bulkBytes/5 {
		t.Errorf("%d bytes wait", f.gathered)
	}
	for i := range parts { // as a kill would leave it
		if err := os.CopyFS(filepath.Join(dirs, "copies", strconv.Itoa(i)), os.DirFS(filepath.Join(dirs, strconv.Itoa(i)))); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(filepath.Join(dirs, "copies", strconv.Itoa(i)), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Offset() < 9 {
			t.Errorf("partition %d has rows up to %d on the disk", i, s.Offset())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	f.close(slog.New(slog.DiscardHandler))
}

// haunted puts a row into a store that its topic has forgotten.
func haunted(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Apply([]store.Row{{Key: []byte("ghost"), Value: []byte("deleted so long ago that the topic has forgotten")}}, s.Offset())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// aged lets time pass since a store was last written to.
func aged(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	meta, done, err := db.Get([]byte{'m'})
	if err != nil {
		t.Fatal(err)
	}
	meta = bytes.Clone(meta)
	written := meta[len(meta)-8:] // Unix ms
	binary.BigEndian.PutUint64(written, binary.BigEndian.Uint64(written)-uint64(by.Milliseconds()))
	if err := errors.Join(done.Close(), db.Set([]byte{'m'}, meta, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A table in which nothing changes is still not old when it was followed lately.
func TestQuietTableIsKeptThroughRestarts(t *testing.T) {
	w := newWorld(t).pinned()
	w.put(list, row("a", "1"))
	dir := filepath.Join(w.cfg.Dir, list.Topic().Name, "0")
	ghost := func() (got string) {
		if err := w.with(func(_ context.Context, m *Mirror) error {
			_, release := m.Hold(0)
			defer release()
			b, err := m.whole[1].row(0, "ghost")
			got = string(b)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	ghost()
	haunted(t, dir)
	for range 3 { // 27 hours, but never 12 without a look at the topic
		aged(t, dir, 9*time.Hour)
		if ghost() == "" {
			t.Fatal("the store was emptied")
		}
	}
	aged(t, dir, 13*time.Hour)
	if got := ghost(); got != "" {
		t.Errorf("an old store knows a row that is gone: %q", got)
	}
}
