package integration

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// The truth about the log, found without any code of dwell: by a regular expression and brute force.

const logFile = "../testdata/access-2015.log.gz"

var combined = regexp.MustCompile(`^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) \S+" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"$`)

// hit is one request.
type hit struct {
	user, path, status, day string
	at                      int64 // Unix seconds
}

func readLog(t *testing.T) (hits []hit, unparsed int) {
	t.Helper()
	f, err := os.Open(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(z)
	for in.Scan() {
		m := combined.FindStringSubmatch(in.Text())
		if m == nil {
			unparsed++
			continue
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
		if err != nil {
			t.Fatal(err)
		}
		agent := m[8]
		if agent == "-" {
			agent = ""
		}
		sum := sha256.Sum256([]byte(agent))
		hits = append(hits, hit{"~" + m[1] + "|" + hex.EncodeToString(sum[:])[:12], m[4], m[5], at.UTC().Format("2006-01-02"), at.Unix()})
	}
	if in.Err() != nil || len(hits) < 9000 {
		t.Fatalf("%d hits, %v", len(hits), in.Err())
	}
	return hits, unparsed
}

// tally counts hits by a field, as `key<TAB>count`, most first, then by key.
func tally(hits []hit, field func(hit) string, most int) []string {
	count := map[string]int{}
	for _, h := range hits {
		count[field(h)]++
	}
	keys := make([]string, 0, len(count))
	for k := range count {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keys[i], keys[j]
		return count[a] > count[b] || count[a] == count[b] && a < b
	})
	var rows []string
	for _, k := range keys[:min(most, len(keys))] {
		rows = append(rows, fmt.Sprintf("%s\t%d", k, count[k]))
	}
	return rows
}

// visit is an hit that the pattern has not used up.
type visit struct{ at, arrived int64 }

// matches finds, by trying every triple, all matches of "3 page views within 10 minutes, consumed
// past the last one; events more than a minute behind the user's newest do not count", as
// `user<TAB>Unix second of the last view`, sorted.
func matches(hits []hit) []string {
	byUser := map[string][]hit{}
	for _, h := range hits {
		byUser[h.user] = append(byUser[h.user], h)
	}
	var found []string
	for user, views := range byUser {
		var open []visit
		newest, floor := int64(-1<<62), int64(-1<<62)
		for i, v := range views {
			if v.at < newest-60 {
				continue
			}
			newest = max(newest, v.at)
			if v.at < floor {
				continue
			}
			me := visit{v.at, int64(i)}
			open = append(open, me)
			slices.SortFunc(open, func(a, b visit) int { return int(a.at-b.at)*100_000 + int(a.arrived-b.arrived) })
			last, ok := triple(open, me)
			if !ok {
				continue
			}
			found = append(found, fmt.Sprintf("%s\t%d", user, open[last].at))
			floor = max(floor, open[last].at)
			open = slices.Clone(open[last+1:])
		}
	}
	slices.Sort(found)
	return found
}

// triple is the index of the last view of the match that ends first and holds me.
func triple(open []visit, me visit) (int, bool) {
	for k := range open {
		for j := range k {
			for i := range j {
				if open[k].at-open[i].at <= 600 && (open[i] == me || open[j] == me || open[k] == me) {
					return k, true
				}
			}
		}
	}
	return 0, false
}

func TestBruteForceFindsTheWorkedCases(t *testing.T) {
	for in, want := range map[string]string{
		"0 240 599": "599", "0 300 600": "600", "0 300 601": "", "0 360 660 900": "900", "0 60 120 180 240 300": "120 300",
		"0 100 60": "100", "0 200 100": "", // within the lateness of a minute, and not
	} {
		var hits []hit
		for _, s := range strings.Fields(in) {
			var at int64
			if _, err := fmt.Sscan(s, &at); err != nil {
				t.Fatal(err)
			}
			hits = append(hits, hit{user: "u", at: at})
		}
		var got []string
		for _, m := range matches(hits) {
			got = append(got, strings.TrimPrefix(m, "u\t"))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %q, want %q", in, s, want)
		}
	}
}

func TestReplayedLogIsCountedAndDecidedExactly(t *testing.T) {
	backends(t, func(t *testing.T, b backend) {
		s := start(t, b)
		hits, unparsed := readLog(t)
		tenant := fmt.Sprintf("log%d", time.Now().UnixNano())
		out := s.dwell("apply", "-f", "../examples/campaigns/engaged-reader.yaml", "--tenant", tenant)
		if !strings.Contains(out, "in force in 1 worker") {
			t.Fatalf("apply said: %s", out)
		}
		replayThroughKills(t, s, tenant, unparsed)
		s.checkLog(tenant, hits)
		if out := s.dwell("replay", logFile, "--tenant", tenant); !strings.Contains(out, "nothing to do") {
			t.Errorf("the second replay said: %s", out)
		}
		s.dwell("replay", logFile, "--tenant", tenant, "--again")
		s.eventually(fmt.Sprintf("SELECT count() FROM verdicts WHERE tenant='%s' AND verdict='DUPLICATE'", tenant), fmt.Sprint(len(hits)))
		s.checkLog(tenant, hits)
	})
}

// replayThroughKills replays the log over about ten seconds; worker, sink and gateway are killed with
// -9 in the middle of it.
func replayThroughKills(t *testing.T, s *site, tenant string, unparsed int) {
	t.Helper()
	cmd := s.tool("replay", logFile, "--tenant", tenant, "--rate", "1000")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i, part := range []string{"worker", "sink", "gateway", "worker"} {
		more := fmt.Sprintf("SELECT count() > %d FROM events WHERE tenant='%s'", 1500*(i+1), tenant)
		s.eventually(more, "1")
		s.kill(part)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("replay: %v\n%s", err, &out)
	}
	if want := fmt.Sprintf("%d unparsed", unparsed); !strings.Contains(out.String(), want) {
		t.Errorf("replay said %q, want %q", &out, want)
	}
	s.back("worker", 2)
	s.back("sink", 1)
	s.back("gateway", 1)
}

// checkLog compares ClickHouse with the truth.
func (s *site) checkLog(tenant string, hits []hit) {
	s.t.Helper()
	from := fmt.Sprintf("FROM events WHERE tenant='%s'", tenant)
	s.eventually("SELECT count() "+from, fmt.Sprint(len(hits)))
	s.same("unique ids", s.query("SELECT uniqExact(event_id) "+from), []string{fmt.Sprint(len(hits))})
	for _, c := range []struct {
		name, column string
		field        func(hit) string
		most         int
	}{
		{"top paths", "path", func(h hit) string { return h.path }, 10},
		{"hits per status", "toString(status)", func(h hit) string { return h.status }, 100},
		{"hits per day", "toString(toDate(ts))", func(h hit) string { return h.day }, 100},
	} {
		sql := fmt.Sprintf("SELECT %s AS k, count() %s GROUP BY k ORDER BY 2 DESC, k LIMIT %d", c.column, from, c.most)
		s.same(c.name, s.query(sql), tally(hits, c.field, c.most))
	}
	want := matches(hits)
	sent := fmt.Sprintf("FROM verdicts WHERE tenant='%s' AND campaign='engaged-reader' AND verdict='SENT'", tenant)
	s.eventually("SELECT count() "+sent, fmt.Sprint(len(want)))
	got := s.query("SELECT user, toUnixTimestamp(event_time) " + sent + " FORMAT TSVRaw")
	slices.Sort(got)
	s.same("matches", got, want)
	s.eventually(fmt.Sprintf("SELECT uniqExact(action_id) FROM actions WHERE tenant='%s'", tenant), fmt.Sprint(len(want)))
	s.same("cube", s.query(fmt.Sprintf("SELECT sum(events) FROM campaign_1m WHERE tenant='%s' AND event='page' AND campaign=''", tenant)), []string{fmt.Sprint(len(hits))})
}

func (s *site) same(what string, got, want []string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s differ:\n got %d rows %.600q\nwant %d rows %.600q", what, len(got), got, len(want), want)
	}
}
