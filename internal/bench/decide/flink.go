package decide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	source "github.com/dwellhq/dwell/integration/peers"
	"github.com/dwellhq/dwell/internal/bench/child"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/topics"
)

// flinkMatches is the topic that the Flink job writes to.
const flinkMatches = "bench.flink-matches.v1"

// flinkPeer is the job Cep.java.
func flinkPeer() child.JavaPeer {
	files, err := fs.Sub(source.Files, "flink")
	if err != nil {
		panic("decide: " + err.Error()) // only a path that is none is refused
	}
	return child.JavaPeer{Name: "Flink CEP", Folder: "flink-cep", Files: files, Source: "Cep.java", MB: 83}
}

// cepKinds are the kinds of patterns that Flink CEP has a word for.
var cepKinds = []string{"count", "sequence", "absence", "any_of"}

// cep is one round of Flink: its CEP library with a keyed operator for each campaign, parallelism 2, rows
// on the heap, event time, checkpoints, and Kafka's exactly-once sink for the matches. Each campaign sees
// only the events that it reads, by a filter before the key. It is given what it is good at: campaigns of
// kinds that CEP does not say are left out, and it has no duplicates to find, no gates, no facts.
func (g *ground) cep(ctx context.Context, s *Stack) error {
	name := fmt.Sprintf("flink-%d", g.runs)
	g.runs++
	plans := slices.DeleteFunc(slices.Clone(g.in.plans), func(p Plan) bool { return !slices.Contains(cepKinds, p.Kind) })
	s.Campaigns = len(plans)
	dir := filepath.Join(g.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a folder for flink: %w", err)
	}
	defer os.RemoveAll(dir)
	list, err := json.Marshal(plans)
	if err != nil {
		return fmt.Errorf("write the patterns for flink: %w", err)
	}
	file := filepath.Join(dir, "patterns.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return fmt.Errorf("write the patterns for flink: %w", err)
	}
	before, err := g.ends(ctx)
	if err != nil {
		return err
	}
	argv := g.flink.Argv(javaOptions, "Cep", strings.Join(g.broker.Addrs, ","), name, topics.Events.Name, flinkMatches, dir,
		strconv.FormatInt(g.Checkpoint.Milliseconds(), 10), "2", file)
	p, err := child.Start("flink", dir, argv)
	if err != nil {
		return err
	}
	first, last, err := child.Watch(ctx, p, g.broker.Pid, int64(g.in.n), func(ctx context.Context) (int64, error) { return child.Committed(ctx, g.adm, name, topics.Events.Name) })
	rss := child.PeakRSS(p.Pid())
	if err = errors.Join(err, p.Stop()); err != nil {
		return err
	}
	s.fill(first, last, rss)
	return kafka.ReadAll(ctx, g.cfg, &topics.Spec{Name: flinkMatches}, func(e kafka.Entry) error {
		if e.At.Offset >= before[place{e.At.Topic, e.At.Partition}] {
			s.Matches++
		}
		return nil
	})
}

// javaOptions of the job: a large heap for the rows, and what Flink's serializers want opened.
var javaOptions = []string{
	"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-XX:+UseG1GC", "-Xmx6g", "-XX:MaxDirectMemorySize=1g",
	"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.time=ALL-UNNAMED",
	"--add-opens=java.base/java.net=ALL-UNNAMED", "--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
}
