package arch

import (
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// Layout says which folders there are and who may import what.
type Layout struct {
	// Module is the path of the module.
	Module string
	Rooms  []Place
	// Confined modules may be imported below the named folders only, by tests too.
	Confined map[string][]string
	// RootFiles are the Go files that may lie in the root.
	RootFiles []string
}

// Place is a room of the layout: a top-level folder with everything below it.
type Place struct {
	Dir string
	// Imports are the rooms that code here may import, besides its own; tests may import any.
	Imports []string
	// Apart: the packages below Dir may import Dir's own package, and each the ones below itself,
	// but not each other; they meet at a topic.
	Apart bool
	// Pure: no I/O, no clock, no goroutine.
	Pure bool
	// Third are the third-party modules that code here may import, by the folder below which it
	// may; tests may import any that is not confined.
	Third map[string][]string
}

const (
	goka     = "github.com/lovoo/goka"
	sarama   = "github.com/IBM/sarama"
	franz    = "github.com/twmb/franz-go"
	prom     = "github.com/prometheus"
	kong     = "github.com/alecthomas/kong"
	protobuf = "google.golang.org/protobuf"
	yaml     = "github.com/goccy/go-yaml"
	errgroup = "golang.org/x/sync"
	compress = "github.com/klauspost/compress"
)

// Dwell is the layout of design.md: schemas < topics < processors, sinks < kafka < worker, gateway <
// cmd. internal serves everything above kafka and composes what lies below it.
func Dwell() Layout {
	ground := []string{"schemas", "topics"}
	below := append(slices.Clone(ground), "processors", "sinks", "kafka")
	all := append(slices.Clone(below), "embedded", "console", "gateway", "worker", "examples", "internal", "cmd")
	return Layout{
		Module: "github.com/dwellhq/dwell",
		Rooms: []Place{
			{Dir: "schemas", Pure: true, Third: map[string][]string{"schemas": {protobuf, "github.com/planetscale/vtprotobuf", compress}}},
			{Dir: "topics", Pure: true, Imports: []string{"schemas"}},
			{Dir: "processors", Pure: true, Apart: true, Imports: ground, Third: map[string][]string{"processors/engage": {"cel.dev", yaml, protobuf}}},
			{Dir: "sinks", Apart: true, Imports: ground, Third: map[string][]string{
				"sinks":            {errgroup},
				"sinks/clickhouse": {"github.com/ClickHouse", "github.com/pressly/goose", prom},
			}},
			{Dir: "kafka", Apart: true, Imports: append(slices.Clone(ground), "processors", "sinks"), Third: map[string][]string{
				"kafka":        {goka, sarama, franz, prom, errgroup},
				"kafka/stream": {"github.com/cockroachdb/pebble"},
			}},
			// integration/peers is only the Java source of a peer that internal/bench/core measures. Stock goka,
			// another one, lies in kafka/peers, because goka and sarama are confined to kafka.
			{Dir: "internal", Imports: append(slices.Clone(below), "embedded", "console", "integration/peers"), Third: map[string][]string{
				"internal":         {prom, kong, yaml, errgroup, compress},
				"internal/bench":   {franz, "github.com/chromedp"},
				"internal/browser": {"github.com/chromedp"},
			}},
			{Dir: "embedded", Imports: []string{"internal"}, Third: map[string][]string{"embedded": {franz, errgroup, compress, "github.com/ebitengine/purego"}}},
			{Dir: "console", Imports: append(slices.Clone(ground), "sinks", "internal"), Third: map[string][]string{"console": {"github.com/evanw/esbuild", "github.com/ClickHouse", prom, errgroup}}},
			{Dir: "gateway", Imports: append(slices.Clone(below), "internal"), Third: map[string][]string{
				"gateway": {franz, prom, errgroup, compress, "github.com/gorilla/websocket", "github.com/medama-io", "github.com/oschwald"},
			}},
			{Dir: "worker", Imports: append(slices.Clone(below), "internal"), Third: map[string][]string{"worker": {prom, kong, errgroup}}},
			{Dir: "examples", Apart: true, Imports: append(slices.Clone(ground), "processors", "worker")},
			{Dir: "cmd", Imports: all, Third: map[string][]string{"cmd": {franz, prom, kong, yaml, errgroup}}},
			{Dir: "integration", Imports: all, Third: map[string][]string{
				"integration": {franz, prom, errgroup, "github.com/ClickHouse", "github.com/testcontainers", "github.com/chromedp", "github.com/gorilla/websocket"},
			}},
		},
		Confined: map[string][]string{goka: {"kafka"}, sarama: {"kafka"}},
	}
}

// below says whether dir is root or lies below it.
func below(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

// room is the room of a folder; nil for none.
func (l Layout) room(dir string) *Place {
	for i := range l.Rooms {
		if below(dir, l.Rooms[i].Dir) {
			return &l.Rooms[i]
		}
	}
	return nil
}

type reporter func(rule Rule, pos token.Pos, format string, a ...any)

func (l Layout) imports(s *source, report reporter) {
	room := l.room(s.dir)
	if room == nil {
		if s.dir != "." || !slices.Contains(l.RootFiles, s.name) {
			report(Room, s.file.Package, "%s is in no room of the layout; add the room to internal/arch, with what it may import", s.dir)
		}
		return
	}
	for _, im := range s.file.Imports {
		target, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			continue // the parser has made sure
		}
		for module, homes := range l.Confined {
			if below(target, module) && !slices.Contains(homes, room.Dir) {
				report(ThirdParty, im.Pos(), "%s may be imported below %s only", module, strings.Join(homes, ", "))
			}
		}
		switch {
		case s.test || harness(s.dir):
		case harness(target) && (below(target, l.Module) || !thirdParty(target)):
			report(Direction, im.Pos(), "only tests and their harnesses may import %s", target)
		case target == l.Module || below(target, l.Module):
			if why := l.against(room, s.dir, strings.TrimPrefix(strings.TrimPrefix(target, l.Module), "/")); why != "" {
				report(Direction, im.Pos(), "%s", why)
			}
		case thirdParty(target) && !room.uses(s.dir, target):
			report(ThirdParty, im.Pos(), "%s may not import %s", s.dir, target)
		case below(target, "testing"):
			report(Direction, im.Pos(), "only tests and their harnesses may import %s", target)
		}
	}
}

// harness says whether a package serves tests only: its name, such as proctest, ends so. It may import
// what a test may, and only tests may import it.
func harness(dir string) bool { return strings.HasSuffix(dir, "test") }

// against says why dir may not import the package in target; empty: it may.
func (l Layout) against(room *Place, dir, target string) string {
	if !below(target, room.Dir) {
		for _, ok := range room.Imports {
			if below(target, ok) {
				return ""
			}
		}
		return dir + " may not import " + target
	}
	if !room.Apart || target == room.Dir && dir != room.Dir {
		return ""
	}
	child := func(d string) string {
		first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(d, room.Dir), "/"), "/")
		return first
	}
	if child(dir) == child(target) {
		return ""
	}
	return dir + " may not import its neighbour " + target + "; they meet at a topic"
}

// thirdParty: the first element of a module's path has a dot.
func thirdParty(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return strings.Contains(first, ".")
}

func (p *Place) uses(dir, target string) bool {
	for root, modules := range p.Third {
		for _, m := range modules {
			if below(dir, root) && below(target, m) {
				return true
			}
		}
	}
	return false
}
