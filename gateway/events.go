package gateway

import (
	"fmt"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/gateway/answer"
	"github.com/dwellhq/dwell/gateway/ingest"
	"github.com/dwellhq/dwell/gateway/keys"
	"github.com/dwellhq/dwell/topics"
)

// parcel is a parsed request: items that stand or fall alone.
type parcel interface {
	Len() int
	// record makes item i the record that Kafka gets.
	record(i int, s ingest.Sender) (*kgo.Record, error)
}

// calls are events; the frames' parcel stands in frames.go.
type calls struct{ *ingest.Calls }

func (c calls) record(i int, s ingest.Sender) (*kgo.Record, error) {
	e, err := c.Event(i, s)
	if err != nil {
		return nil, err
	}
	return record(topics.Events, e.Key(), e, s.NowMS)
}

func record[T any](t topics.Topic[T], key string, v T, ms int64) (*kgo.Record, error) {
	b, err := t.Codec.Append(nil, v)
	if err != nil {
		return nil, fmt.Errorf("record for %s: %w", t.Name, err)
	}
	return &kgo.Record{Topic: t.Name, Key: []byte(key), Value: b, Timestamp: time.UnixMilli(ms)}, nil
}

// taken is the answer to events that Kafka has.
type taken struct {
	Success    bool   `json:"success"`
	Durability string `json:"durability"`
}

// takeCalls answers POST /v1/kind.
func (g *Gateway) takeCalls(kind string) handler {
	limits := g.cfg.limits()
	return func(w http.ResponseWriter, r *http.Request) error {
		parse := func(body []byte) (parcel, string, error) {
			c, err := ingest.ParseCalls(kind, body, limits)
			if err != nil {
				return nil, "", err
			}
			return calls{c}, c.WriteKey, nil
		}
		p, s, err := g.receive(w, r, limits.BodyLimit(kind), parse)
		if err != nil {
			return err
		}
		outcome := g.write(r, p, s)
		if kind != ingest.Batch && outcome[0] != nil {
			return outcome[0]
		}
		g.report(w, kind, outcome, func() any { return taken{true, durableInKafka} })
		return nil
	}
}

// durableInKafka says in an answer who holds what was taken.
const durableInKafka = "kafka"

// receive reads and parses the body and admits its sender. A key in the header is checked before
// the body is read.
func (g *Gateway) receive(w http.ResponseWriter, r *http.Request, limit int, parse func([]byte) (parcel, string, error)) (parcel, ingest.Sender, error) {
	s := ingest.FromRequest(r, g.cfg.TrustProxy)
	var key *keys.Key
	secret, _, inHeader := r.BasicAuth()
	if inHeader {
		var err error
		if key, err = g.admit(w, r, secret, keys.Ingest); err != nil {
			return nil, s, err
		}
	}
	body, free, err := g.bodies.Read(w, r, limit)
	defer free()
	if err != nil {
		return nil, s, err
	}
	p, secret, err := parse(body)
	if err != nil {
		return nil, s, err
	}
	if !inHeader {
		if key, err = g.admit(w, r, secret, keys.Ingest); err != nil {
			return nil, s, err
		}
	}
	s.Tenant, s.Source, s.NowMS = key.Tenant, key.ID, g.now().UnixMilli()
	return p, s, g.spend(key, p.Len())
}

// write hands every sound item to Kafka and waits; the outcome has an error or nil for each item.
func (g *Gateway) write(r *http.Request, p parcel, s ingest.Sender) []error {
	outcome := make([]error, p.Len())
	recs, at := make([]*kgo.Record, 0, p.Len()), make([]int, 0, p.Len())
	for i := range outcome {
		rec, err := p.record(i, s)
		if err != nil {
			outcome[i] = err
			continue
		}
		recs, at = append(recs, rec), append(at, i)
	}
	for j, err := range g.events.write(r.Context(), recs) {
		outcome[at[j]] = err
	}
	return outcome
}

// report answers for many items. All taken: 200. Some refused for good: 207, none taken: 400 or 413.
// Any that Kafka did not take in time makes it a 503, for a client that looks no further must come
// again with all of them: what was taken already counts once, by its messageId.
func (g *Gateway) report(w http.ResponseWriter, route string, outcome []error, success func() any) {
	body := answer.Refusal{Items: make([]answer.Item, len(outcome))}
	good, status := 0, http.StatusMultiStatus
	for i, err := range outcome {
		body.Items[i] = answer.Item{Index: i, Success: err == nil, Status: http.StatusOK}
		if err == nil {
			good++
			continue
		}
		f := answer.Of(err)
		body.Items[i].Status, body.Items[i].Error = f.Status, f
		g.metrics.reject(route, f)
		if f.Status >= http.StatusInternalServerError {
			status = http.StatusServiceUnavailable
		}
	}
	g.metrics.accept(route, good)
	switch {
	case good == len(outcome):
		answer.Write(w, http.StatusOK, success())
		return
	case status == http.StatusServiceUnavailable:
		body.Error = answer.Busy(fmt.Sprintf("%d of %d items were not taken", len(outcome)-good, len(outcome)), g.cfg.RetryAfter)
		answer.Later(w, g.now(), g.cfg.RetryAfter)
	case good == 0:
		status = body.Items[0].Status
		body.Error = &answer.Fault{What: "no item was taken", Where: "body", Do: "Mend the items as their errors say."}
	}
	if good > 0 {
		body.Durability = durableInKafka
	}
	answer.Write(w, status, body)
}
