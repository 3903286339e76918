package stream

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/kafka/stream/journal"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// registry knows schema 1, which is of JSON, once it is up.
func registry(t *testing.T) (url string, up *atomic.Bool) {
	up = &atomic.Bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "/schemas/ids/1"):
			fmt.Fprint(w, `{"schema":"{}","schemaType":"JSON"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, up
}

func framed(topic, key string, id uint32, payload string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)}
}

// Good records wait for a registry that is away, whatever else comes; a record whose schema nobody knows
// is a dead letter as it lies in its topic. A replay by the journal does the same.
func TestRecordsWaitForTheSchemaRegistry(t *testing.T) {
	w := newWorld(t, brokers(t))
	in, plain := topics.Stream[string](w.name("in")), topics.Stream[string](w.name("plain"))
	w.ensure(in.Spec, plain.Spec)
	note := func(t *processors.Turn[[]string], v string) { *t.State = append(*t.State, v) }
	def := processors.Define(processors.Processor[[]string]{
		Name: w.id, Journal: true, Inputs: []processors.Input[[]string]{processors.On(in, note), processors.On(plain, note)},
	})
	url, up := registry(t)
	w.cfg.Registry = []string{url}
	r := w.run(w.config("a"), def)
	w.sendText(in, "acme/bob", "before")
	until(t, "plain records need no registry", func() bool { return w.committed(def, in.Name) == 1 })
	w.send(framed(in.Name, "acme/ann", 1, `"a"`), framed(in.Name, "acme/ann", 1, `"b"`), framed(in.Name, "acme/ann", 77, `"?"`))
	w.sendText(in, "acme/ann", "c")
	w.sendText(plain, "acme/cid", "d")
	until(t, "it was asked for in vain, twice", func() bool { return r.count.Stalls.Load() >= 2 })
	if n := w.committed(def, in.Name); n != 1 || len(w.letters(def)) != 0 {
		t.Errorf("%d committed, %d letters while the registry is away", n, len(w.letters(def)))
	}
	up.Store(true)
	until(t, "all committed", func() bool { return w.committed(def, in.Name) == 5 && w.committed(def, plain.Name) == 1 })
	r.stop()
	rows := w.rows(def)
	for key, want := range map[string]string{"acme/ann": `["a","b","c"]`, "acme/bob": `["before"]`, "acme/cid": `["d"]`} {
		if string(rows[key]) != want {
			t.Errorf("row of %s: %s, want %s", key, rows[key], want)
		}
	}
	l := w.letters(def)
	if len(l) != 1 || !strings.Contains(l[0].Error, "no schema 77") || string(l[0].Value) != "\x00\x00\x00\x00\x4d\"?\"" {
		t.Errorf("letters: %v", l)
	}
	report, err := journal.Replay(t.Context(), w.cfg, def, journal.All)
	if err != nil || report.Rejected != 1 || report.Records != 6 || report.Differences != 0 {
		t.Errorf("replay: %+v, %v", report, err)
	}
}

func TestFramedRecordsWithoutARegistryAreDeadLettersThatNameTheSetting(t *testing.T) {
	w := newWorld(t, brokers(t))
	def, in, _ := w.growing()
	w.send(framed(in.Name, "acme/ann", 1, `"a"`))
	r := w.run(w.config("a"), def)
	until(t, "committed", func() bool { return w.committed(def, in.Name) == 1 })
	r.stop()
	if l := w.letters(def); len(l) != 1 || !strings.Contains(l[0].Error, "DWELL_REGISTRY") {
		t.Errorf("letters: %v", l)
	}
}
