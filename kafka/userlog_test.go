package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/topics"
)

func TestRangeReadsTheKeysPartitionSinceATime(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Partitions = c.ListenAddrs(), 5
	spec := topics.Stream[string]("t.userlog").Spec
	if err := Ensure(t.Context(), cfg, spec); err != nil {
		t.Fatal(err)
	}
	cl, err := cfg.NewClient("test", ProducerOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const users = 40
	for hour := range 3 {
		for u := range users {
			r := &kgo.Record{Topic: spec.Name, Key: fmt.Appendf(nil, "demo/u%d", u), Value: []byte("v"), Timestamp: began.Add(time.Duration(hour) * time.Hour)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(r Range) map[string]int {
		got := map[string]int{}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := ReadRange(ctx, cfg, spec, r, func(e Entry) error {
			if want := PartitionOf(e.Key, cfg.Partitions); e.At.Partition != want {
				t.Errorf("%s lies in %d, PartitionOf says %d", e.Key, e.At.Partition, want)
			}
			got[e.Key]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if all := read(Range{}); len(all) != users || all["demo/u7"] != 3 {
		t.Errorf("everything: %v", all)
	}
	one := read(Range{Key: "demo/u7"})
	for k := range one {
		if PartitionOf(k, 5) != PartitionOf("demo/u7", 5) {
			t.Errorf("%s is of another partition", k)
		}
	}
	if one["demo/u7"] != 3 || len(one) == users {
		t.Errorf("one partition: %v", one)
	}
	if late := read(Range{Since: began.Add(time.Hour + time.Millisecond)}); len(late) != users || late["demo/u7"] != 1 {
		t.Errorf("the last hour: %v", late)
	}
	if none := read(Range{Since: began.Add(time.Hour * 9)}); len(none) != 0 {
		t.Errorf("after the end: %v", none)
	}
}
