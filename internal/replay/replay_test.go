package replay

import (
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/livetest"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

func line(i int) string {
	return fmt.Sprintf(`10.0.0.%d - - [17/May/2015:10:05:%02d +0000] "GET /p%d HTTP/1.1" 200 %d "-" "UA"`, i%5, i%60, i, i)
}

func write(t *testing.T, packed bool, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := strings.Join(lines, "\n")
	if !packed {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		return path
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// ids counts the events in the log by id, and returns the dead letters.
func ids(t *testing.T, cfg kafka.Config) (map[string]int, []*schemas.DeadLetter) {
	t.Helper()
	count, dead := map[string]int{}, []*schemas.DeadLetter(nil)
	err := kafka.ReadAll(t.Context(), cfg, topics.Events.Spec, func(e kafka.Entry) error {
		v, err := topics.Events.Codec.Decode(e.Value)
		if err == nil {
			count[v.Id]++
			err = v.Validate()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = kafka.ReadAll(t.Context(), cfg, topics.DeadLetters.Spec, func(e kafka.Entry) error {
		v, err := topics.DeadLetters.Codec.Decode(e.Value)
		dead = append(dead, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count, dead
}

func TestEveryLineBecomesOneEventOrOneDeadLetter(t *testing.T) {
	for _, packed := range []bool{false, true} {
		cfg := livetest.Kafka(t, 3)
		lines := []string{line(1), line(2), "garbage", "", line(3), strings.Repeat("x", 3<<20), line(4)}
		p, err := Run(t.Context(), cfg, Config{File: write(t, packed, lines...), Name: "n", Tenant: "acme"})
		if err != nil || p.Lines != 7 || p.Sent != 4 || p.Unparsed != 3 {
			t.Fatalf("progress %+v, %v", p, err)
		}
		events, dead := ids(t, cfg)
		if len(events) != 4 || len(dead) != 3 {
			t.Fatalf("%d events, %d dead letters", len(events), len(dead))
		}
		if d := dead[0]; d.Topic != "file:n" || d.Offset != 3 || string(d.Value) != "garbage" || d.Error == "" {
			t.Errorf("dead letter %v", d)
		}
	}
}

func TestSameNameAddsNothingAndOtherFileIsRefused(t *testing.T) {
	cfg := livetest.Kafka(t, 3)
	path := write(t, false, line(1), line(2), "garbage")
	conf := Config{File: path, Name: "n", Tenant: "acme"}
	if _, err := Run(t.Context(), cfg, conf); err != nil {
		t.Fatal(err)
	}
	if p, err := Run(t.Context(), cfg, conf); err != nil || p.Sent != 0 || p.Unparsed != 0 || p.Resumed != 3 {
		t.Errorf("second run: %+v, %v", p, err)
	}
	conf.Again = true
	if p, err := Run(t.Context(), cfg, conf); err != nil || p.Sent != 2 {
		t.Errorf("again: %+v, %v", p, err)
	}
	events, _ := ids(t, cfg)
	for id, n := range events {
		if n != 2 {
			t.Errorf("id %s came %d times: the same line must have the same id", id, n)
		}
	}
	conf.File = write(t, false, line(9))
	if _, err := Run(t.Context(), cfg, conf); err == nil || !strings.Contains(err.Error(), "--name") {
		t.Errorf("another file under the same name: %v", err)
	}
}

func TestInterruptedReplayGoesOnWhereItWas(t *testing.T) {
	cfg := livetest.Kafka(t, 3)
	var lines []string
	for i := range 200 {
		lines = append(lines, line(i))
	}
	conf := Config{File: write(t, true, lines...), Name: "n", Tenant: "acme", Rate: 100}
	ctx, cancel := context.WithCancel(t.Context())
	conf.Progress = func(p Progress) {
		if p.Lines > 40 {
			cancel()
		}
	}
	if _, err := Run(ctx, cfg, conf); err == nil {
		t.Fatal("the interrupted run reports no error")
	}
	conf.Rate, conf.Progress = 0, nil
	p, err := Run(t.Context(), cfg, conf)
	if err != nil || p.Resumed == 0 || p.Sent != 200-p.Resumed {
		t.Fatalf("second run: %+v, %v", p, err)
	}
	events, _ := ids(t, cfg)
	if len(events) != 200 {
		t.Errorf("%d events", len(events))
	}
	for id, n := range events {
		if n != 1 {
			t.Errorf("id %s came %d times", id, n)
		}
	}
}

func TestMissingFileSaysSo(t *testing.T) {
	if _, err := Run(t.Context(), kafka.DefaultConfig(), Config{File: "/nowhere/log"}); err == nil || !strings.Contains(err.Error(), "/nowhere/log") {
		t.Errorf("err = %v", err)
	}
}
