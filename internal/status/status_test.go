package status

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/supervise"
	"github.com/dwellhq/dwell/kafka/stream"
	"github.com/dwellhq/dwell/kafka/stream/behind"
	"github.com/dwellhq/dwell/kafka/stream/standby"
)

func serve(t *testing.T, v any) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" || json.NewEncoder(w).Encode(v) != nil {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestTableShowsWorkersAndThoseOfDev(t *testing.T) {
	one := serve(t, map[string]stream.Status{"cart": {
		Processor: "cart", Instance: "w0", Ready: true,
		Partitions: []stream.PartitionStatus{
			{Number: 0, Running: true, DeadlineLagMS: 1500},
			{Number: 3, Recovered: 1000, ToGo: 500, RecoveredPerSecond: 250_000},
		},
		Standbys: []standby.Status{{Number: 1, Rows: 70, Next: 80, Lag: 5}, {Number: 2, Next: -1, Lag: -1}},
		Followed: []behind.Topic{{Topic: "rules.v1", Partitions: 1, Lag: 12}, {Topic: "dwell.people-table", Partitions: 2, Lag: behind.Unknown}},
	}})
	two := serve(t, map[string]stream.Status{"cart": {Processor: "cart", Instance: "w1"}})
	other := serve(t, map[string]string{"listen": "127.0.0.1:8080"})
	dev := serve(t, []supervise.ChildState{
		{Facts: map[string]string{"admin": two}}, {Facts: map[string]string{"admin": other}}, {},
	})
	all, err := Ask(t.Context(), []string{one, dev})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Print(&b, all); err != nil {
		t.Fatal(err)
	}
	want := `PROCESSOR INSTANCE PARTITION STATE RECOVERED TO GO ROWS/S DEADLINE LAG
cart w0 0 running 0 0 0 1.5s
cart w0 3 recovering 1000 500 250000 0s
cart w0 1 standby 70 5
cart w0 2 standby, opening 0
cart w1 - starting

PROCESSOR INSTANCE FOLLOWS PARTITIONS RECORDS BEHIND
cart w0 rules.v1 1 12
cart w0 dwell.people-table 2 unknown
`
	var got strings.Builder
	for line := range strings.Lines(b.String()) {
		got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestWhoDoesNotAnswerIsNamed(t *testing.T) {
	worker := serve(t, map[string]stream.Status{"cart": {Processor: "cart", Instance: "w0"}})
	other := serve(t, map[string]string{"listen": "127.0.0.1:8080"})
	all, err := Ask(t.Context(), []string{worker, "127.0.0.1:1", other})
	if len(all) != 1 || err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), other+" is not that of a worker") {
		t.Errorf("%d workers, %v", len(all), err)
	}
	if _, err := Ask(t.Context(), []string{serve(t, []supervise.ChildState{})}); err == nil || !strings.Contains(err.Error(), "no worker at") {
		t.Errorf("a dev without a worker: %v", err)
	}
}
