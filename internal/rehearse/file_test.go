package rehearse

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

const draft = `apiVersion: dwell/v1
kind: Campaign
metadata: {name: hot}
spec:
  state: draft     # not yet
  trigger:
    pattern: {count: {event: bet, times: 2}}
    within: 10m
  reentry: {mode: cooldown, every: 3h}
  channels: [{type: popup, content: a}]
`

func bet(user, id, at string) string {
	return fmt.Sprintf(`{"type":"track","event":"bet","userId":%q,"messageId":%q,"timestamp":%q}`+"\n", user, id, at)
}

func TestADraftIsRehearsedAsIfLiveAndCountedByHour(t *testing.T) {
	all := parse(t, draft)
	var decisions bytes.Buffer
	r, err := New("demo", all, &decisions)
	if err != nil {
		t.Fatal(err)
	}
	log := bet("ann", "1", "2026-11-01T10:58:00Z") + bet("ann", "2", "2026-11-01T10:59:00Z") +
		bet("bob", "1", "2026-11-01T10:59:30Z") + bet("bob", "2", "2026-11-01T11:00:30Z") +
		bet("ann", "2", "2026-11-01T11:01:00Z") + bet("ann", "3", "2026-11-01T11:02:00Z") + bet("ann", "4", "2026-11-01T11:03:00Z")
	rep, err := r.File(strings.NewReader(log), 8)
	if err != nil {
		t.Fatal(err)
	}
	c := rep.Campaigns[0]
	if c.State != "draft" || c.As != "live" || c.Version != all[0].Version || c.Matches != 3 || c.Verdicts["SENT"] != 2 || c.Verdicts["REENTRY"] != 1 {
		t.Errorf("%+v", c)
	}
	if len(c.Hours) != 2 || c.Hours[0].Verdicts["SENT"] != 1 || c.Hours[1].Matches != 2 || !c.Hours[1].Start.Equal(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("hours %+v", c.Hours)
	}
	if s := c.Samples["SENT"]; len(s) != 2 || s[0].User != "ann" || strings.Join(s[0].EventIDs, " ") != "1 2" {
		t.Errorf("samples %+v", s)
	}
	if rep.Events != 7 || rep.Counted != 6 || rep.Duplicates != 1 || rep.Users != 2 || c.Variants[""] != 2 {
		t.Errorf("%+v", rep)
	}
	lines := strings.Split(strings.TrimSpace(decisions.String()), "\n")
	if len(lines) != 4 { // three matches, one duplicate
		t.Fatalf("%d decisions:\n%s", len(lines), decisions.String())
	}
	var first Decision
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.User != "ann" || first.Verdict != "SENT" || first.MatchID == "" || first.Version != all[0].Version || first.Time.IsZero() || len(first.EventIDs) != 2 {
		t.Errorf("%v %+v", err, first)
	}
	var text bytes.Buffer
	if err := rep.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"7 events of 2 users", "rehearsed as live", "3 matches, 1 REENTRY, 2 SENT", "2026-11-01 11:00", "SENT ann at"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, text.String())
		}
	}
}

func TestRecordTimeIsReceivedAtElseTimestampElseTheLineBefore(t *testing.T) {
	log := `{"type":"track","event":"bet","userId":"a","receivedAt":"2026-11-01T10:00:05Z","timestamp":"2026-11-01T10:00:00Z"}
{"type":"page","anonymousId":"b","originalTimestamp":"2026-11-01T10:00:01.500Z"}

{"type":"identify","userId":"a"}
`
	lines := Lines{Tenant: "demo", Partitions: 1}
	var got []string
	err := lines.Read(strings.NewReader(log), func(r Record) error {
		got = append(got, fmt.Sprintf("%s %d %d %d", r.Key, r.At.Offset, r.MS%100_000, r.Event.TimeMs%100_000))
		return nil
	}, func(b Bad) { t.Errorf("%+v", b) })
	if want := "demo/a 0 5000 0|demo/~b 1 1500 1500|demo/a 2 1500 1500"; err != nil || strings.Join(got, "|") != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, strings.Join(got, "|"), want)
	}
}

func TestBadLinesAreCountedAndTheRestGoesOn(t *testing.T) {
	log := `{"type":"track","event":"bet","userId":"a"}` + "\n" + "nonsense\n" + bet("a", "1", "yesterday") +
		`{"type":"track","event":"bet","userId":"a","properties":{"x":"` + strings.Repeat("y", 3<<20) + `"}}` + "\n" +
		bet("", "1", "2026-11-01T10:00:00Z") + bet("ann", "1", "2026-11-01T10:00:00Z")
	r, err := New("demo", parse(t, draft), nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.File(strings.NewReader(log), 4)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Events != 1 || rep.Unreadable != 5 || len(rep.Bad) != 5 || rep.Bad[4].Line != 5 || !strings.Contains(rep.Bad[0].Why, "timestamp") || !strings.Contains(rep.Bad[3].Why, "32768") {
		t.Errorf("%+v", rep)
	}
}

func TestAnEmptyFileAndAGzipFile(t *testing.T) {
	r, err := New("demo", parse(t, draft), nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := r.File(strings.NewReader(""), 4); err != nil || rep.Events != 0 || rep.Campaigns[0].Matches != 0 {
		t.Errorf("empty: %+v, %v", rep, err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(bet("a", "1", "2026-11-01T10:00:00Z") + bet("a", "2", "2026-11-01T10:01:00Z"))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	whole := packed.Bytes()
	if r, err = New("demo", parse(t, draft), nil); err != nil {
		t.Fatal(err)
	}
	if rep, err := r.File(bytes.NewReader(whole), 4); err != nil || rep.Campaigns[0].Matches != 1 {
		t.Errorf("gzip: %+v, %v", rep, err)
	}
	if r, err = New("demo", parse(t, draft), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.File(bytes.NewReader(whole[:len(whole)/2]), 4); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a torn file: %v", err)
	}
}

func TestDeadlinesComeInTheOrderOfTimeAndRowsGo(t *testing.T) {
	var woken []string
	s := NewStepper(func(st Step) error {
		if st.Woken {
			woken = append(woken, st.Key)
		}
		return nil
	})
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	send := func(user string, offset int64, at time.Time) {
		t.Helper()
		e := &schemas.Event{Id: fmt.Sprint(offset), Tenant: "demo", UserId: user, Type: "page", Name: "page"}
		b, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Event("demo/"+user, schemas.Coordinates{Topic: "t", Partition: 1, Offset: offset}, at.UnixMilli(), b); err != nil {
			t.Fatal(err)
		}
	}
	for i, u := range []string{"c", "a", "b", "a2"} {
		send(u, int64(i), at.Add(time.Duration(i/2)*time.Minute))
	}
	if s.Users() != 4 || s.Row(1, "demo/a") == nil || s.Row(2, "demo/a") != nil {
		t.Errorf("%d users", s.Users())
	}
	send("z", 9, at.Add(20*24*time.Hour))
	// Rows are forgotten a week after the last event: by deadline, then key.
	if got := strings.Join(woken, " "); got != "demo/a demo/c demo/a2 demo/b" || s.Users() != 1 {
		t.Errorf("woken %s, %d users left", got, s.Users())
	}
}

func TestDisorderIsReported(t *testing.T) {
	r, err := New("demo", parse(t, draft), nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.File(strings.NewReader(bet("a", "1", "2026-11-01T10:00:00Z")+bet("b", "2", "2026-11-01T09:00:00Z")), 1)
	if err != nil || rep.BackMS != 3_600_000 {
		t.Fatalf("%v, %+v", err, rep)
	}
	var text bytes.Buffer
	if err := rep.Print(&text); err != nil || !strings.Contains(text.String(), "1h0m0s back") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestSinceIsASpanOfTime(t *testing.T) {
	for s, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := ParseSince(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "0d", "-3h", "30", "1x", "99999d", "4000d"} {
		if got, err := ParseSince(s); err == nil {
			t.Errorf("%q is taken: %v", s, got)
		}
	}
}

// failing is a disk that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestDecisionsThatCannotBeWrittenEndTheRehearsal(t *testing.T) {
	r, err := New("demo", parse(t, draft), failing{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.File(strings.NewReader(bet("a", "1", "2026-11-01T10:00:00Z")+bet("a", "2", "2026-11-01T10:00:00Z")), 1); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
}
