package campaign

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/engage/predicate"
	"github.com/dwellhq/dwell/processors/engage/trigger"
)

var update = flag.Bool("update", false, "write the wanted faults anew")

// plainFile is a campaign that tests take and change.
const plainFile = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot-streak, tags: [promo, vip]}
spec:
  state: live
  trigger:
    pattern:
      count: {event: bet_settled, where: 'event.result == "win"', times: 3}
    until: [{event: bet_settled, where: 'event.result == "loss"'}, {event: logout}]
    contiguity: relaxed
    within: 10m
    window: sliding
    after_match: skip_to_next
    time: ingest
    allowed_lateness: 5m
  reentry: {mode: cooldown, every: 1d12h}
  response: {expire_after: 30s}
  priority: 20
  slot: page_popup
  channels: [{type: popup, content: popup/boost50, title: Go, body: "<b>now</b>", button: Take it, link: "https://example.com/a?b=c"}]
`

func mustParse(t *testing.T, source string) *Campaign {
	t.Helper()
	all, err := Parse("test.yaml", []byte(source))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d campaigns: %v", len(all), err)
	}
	return all[0]
}

func TestEveryFieldIsRead(t *testing.T) {
	c := mustParse(t, plainFile)
	win, loss := c.Trigger.Pattern.Count.Of.Where, c.Trigger.Until[0].Where
	if win.String() != `event.result == "win"` || loss.String() != `event.result == "loss"` {
		t.Errorf("conditions are %q and %q", win, loss)
	}
	want := &Campaign{
		Name: "hot-streak", Tags: []string{"promo", "vip"}, State: Live,
		Trigger: Trigger{
			Pattern: Pattern{Count: &Repeat{Of: Matcher{Event: "bet_settled", Where: win}, Times: 3}},
			Until:   []Matcher{{Event: "bet_settled", Where: loss}, {Event: "logout"}},
			Frame:   trigger.Frame{Within: 10 * time.Minute, AllowedLateness: 5 * time.Minute, AfterMatch: trigger.SkipToNext},
			Clock:   trigger.IngestTime,
		},
		Reentry:  trigger.Reentry{Mode: trigger.Cooldown, Every: 36 * time.Hour},
		Response: Response{ExpireAfter: 30 * time.Second}, Priority: 20, Slot: "page_popup",
		Channels: []Channel{{
			Type: "popup", Content: "popup/boost50",
			Payload: []byte(`{"title":"Go","body":"\u003cb\u003enow\u003c/b\u003e","button":"Take it","link":"https://example.com/a?b=c","content":"popup/boost50"}`),
		}},
		Version: "83d44dbf7219", PatternHash: c.PatternHash, Source: []byte(plainFile), File: "test.yaml", Line: 1,
	}
	// Closures have no equality.
	for _, w := range []*Campaign{c, want} {
		w.Trigger.Pattern.Count.Of.Where, w.Trigger.Until[0].Where = predicate.Predicate{}, predicate.Predicate{}
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestDefaultsAreThoseOfTheGuide(t *testing.T) {
	c := mustParse(t, `{apiVersion: dwell/v1, kind: Campaign, metadata: {name: a}, spec: {state: draft,
  trigger: {pattern: {count: {event: page, times: 1}}, correlate: '', until: []}, caps: [], audience: {}, response: {delay: 0s, cancel_on: []},
  channels: [{type: popup, content: x}]}}`)
	if f := c.Trigger.Frame; f != (trigger.Frame{AllowedLateness: 30 * time.Second, AfterMatch: trigger.SkipPastLast}) {
		t.Errorf("frame is %+v", f)
	}
	if c.Trigger.Clock != trigger.EventTime || c.Reentry != (trigger.Reentry{Mode: trigger.Always}) || c.Slot != "" || c.ExpireAfter != 0 {
		t.Errorf("got %+v", c)
	}
}

// The wanted faults stand beside each file: go test -run Faults -update writes them anew.
func TestFaultsAreReportedAllAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, err := Parse(filepath.Base(file), source)
		if err == nil || all != nil {
			t.Errorf("%s: parsed to %d campaigns: %v", file, len(all), err)
			continue
		}
		got, golden := err.Error()+"\n", strings.TrimSuffix(file, ".yaml")+".want"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%swant\n%s", file, got, want)
		}
	}
}

func TestEachDocumentStandsAlone(t *testing.T) {
	second := strings.Replace(plainFile, "name: hot-streak", "name: other", 1)
	file := "# two campaigns\n--- # the first\n" + plainFile + "---\r\n" + second + "---\n"
	all, err := Parse("two.yaml", []byte(file))
	if err != nil || len(all) != 2 {
		t.Fatalf("%d campaigns: %v", len(all), err)
	}
	for i, want := range []struct {
		name string
		line int
	}{{"hot-streak", 3}, {"other", 4 + strings.Count(plainFile, "\n")}} {
		c := all[i]
		if c.Name != want.name || c.Line != want.line {
			t.Errorf("document %d is %s at line %d, want %s at %d", i, c.Name, c.Line, want.name, want.line)
		}
		if again := mustParse(t, string(c.Source)); again.Version != c.Version || again.PatternHash != c.PatternHash {
			t.Errorf("%s parses to version %s alone, %s in its file", c.Name, again.Version, c.Version)
		}
	}
	if all[0].Version == all[1].Version || all[0].PatternHash != all[1].PatternHash {
		t.Error("versions must differ by name, pattern hashes must not")
	}
}

func TestFaultsPointIntoTheFile(t *testing.T) {
	file := plainFile + "---\n" + strings.Replace(plainFile, "times: 3", "times: three", 1) + "---\n" + plainFile
	_, err := Parse("f.yaml", []byte(file))
	var got []Fault
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var f *Fault
		if !errors.As(e, &f) {
			t.Fatalf("%v is no Fault", e)
		}
		got = append(got, *f)
	}
	n := strings.Count(plainFile, "\n") + 1
	if len(got) != 2 || got[0].Line != n+8 || got[0].Path != "spec.trigger.pattern.count.times" || got[1].Line != 2*n+1 || got[1].Path != "metadata.name" {
		t.Errorf("got %+v", got)
	}
}

func TestPatternHashIgnoresWhatRowsDoNotDependOn(t *testing.T) {
	base := mustParse(t, plainFile).PatternHash
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"times: 3", "times: 4", true},
		{"within: 10m", "within: 20m", true},
		{"allowed_lateness: 5m", "allowed_lateness: 6m", true},
		{"content: popup/boost50", "content: popup/other", true},
		{"priority: 20", "priority: 30", true},
		{"mode: cooldown, every: 1d12h", "mode: once", true},
		{"state: live", "state: paused", true},
		{"{event: bet_settled, where: 'event.result == \"win\"'", "{event: bet_placed, where: 'event.result == \"win\"'", false},
		{`"win"`, `"won"`, false},
		{`"loss"`, `"lost"`, false},
		{", {event: logout}", "", false},
		{"skip_to_next", "skip_past_last", false},
		{"time: ingest", "time: event", false},
	} {
		changed := strings.Replace(plainFile, c.from, c.to, 1)
		if changed == plainFile {
			t.Fatalf("%q is not in the file", c.from)
		}
		if got := mustParse(t, changed).PatternHash == base; got != c.same {
			t.Errorf("%s -> %s: same hash is %v", c.from, c.to, got)
		}
	}
}

func TestEmptyAndHugeFilesAreRefused(t *testing.T) {
	for name, source := range map[string]string{
		"empty": "", "comments": "# nothing\n---\n# here\n", "scalar": "hello", "list": "- a", "binary": "\xff\xfe",
		"huge file": strings.Repeat("# x\n", MaxFileBytes), "huge document": "a: " + strings.Repeat("x", MaxDocumentBytes),
		"bounded: brackets": strings.Repeat("[", 60<<10), "bounded: line": strings.Repeat("- ", 20<<10), "two in one": "a: 1\n...\nb: 2\n", "directive": "%YAML 1.2\n---\na: 1\n",
	} {
		if all, err := Parse(name, []byte(source)); err == nil || all != nil {
			t.Errorf("%s: %d campaigns, no fault", name, len(all))
		} else if want, ok := strings.CutPrefix(name, "bounded: "); ok && !strings.Contains(err.Error(), want) { // by the parser alone: for minutes
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLinksLeadToTheWebOrToTheSite(t *testing.T) {
	for link, good := range map[string]bool{
		"": true, "/": true, "/a:b": true, "offers": true, "./a?b=c:d": true, "?q=1:2": true, "#top": true, "http://x": true, "HTTPS://x.de/ä": true, "https://x:8443/": true,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "java\tscript:alert(1)": false, "data:text/html,x": false, "//evil.com": false, "/\\evil.com": false,
		"http:evil.com": false, "http:/evil.com": false, "https://": false, "https:///evil.com": false, "https://?x": false, "mailto:a@b": false, " /a": false, "/a b": false, "x:y": false,
	} {
		if what := linkFault(link); (what == "") != good {
			t.Errorf("%q: %q", link, what)
		}
	}
}

func TestSpansTakeDays(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"10m": 10 * time.Minute, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "0d": 0, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "366d": MaxSpan,
		"": -1, "d": -1, "5": -1, "-5m": -1, "1d-5m": -1, "-1d": -1, "367d": -1, "99999d": -1, "366d1s": -1, "1us": -1, "1w": -1, "1h2d": -1, "9000h": -1,
	} {
		got, err := parseSpan(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %s: %v", s, got, err)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	for _, name := range []string{"hot-streak", "engaged-reader"} {
		file := filepath.Join("../../../examples/campaigns", name+".yaml")
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if c := mustParse(t, string(source)); c.Name != name || c.State != Live || c.Slot != "page_popup" {
			t.Errorf("%s: %+v", file, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(plainFile))
	f.Add([]byte(withPattern(`sequence: [{event: a}, {event: b}]`, "window: {session: 1m}", "contiguity: strict")))
	f.Add([]byte(withPattern(`absence: {event: a, not: {event: b}, restart: true}`)))
	f.Add([]byte(withPattern(`aggregate: {event: a, sum: event.x, is: '> 5'}`, "correlate: event.y")))
	f.Add([]byte(plainFile + "---\n" + plainFile))
	f.Add([]byte("--- {a: b}\n...\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		all, err := Parse("fuzz.yaml", source)
		if (err == nil) == (len(all) == 0) {
			t.Fatalf("%d campaigns and error %v", len(all), err)
		}
		if err != nil && strings.Contains(err.Error(), "could not be read") {
			t.Fatalf("a library panicked: %v", err)
		}
		for _, c := range all {
			again, err := Parse("fuzz.yaml", c.Source)
			if err != nil || len(again) != 1 || again[0].Version != c.Version || again[0].PatternHash != c.PatternHash {
				t.Fatalf("%q does not parse to itself: %v", c.Source, err)
			}
		}
	})
}
