package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwellhq/dwell/gateway/answer"
)

// metrics of the HTTP API.
type metrics struct {
	requests, accepted, rejected *prometheus.CounterVec
	seconds                      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("dwell_gateway_requests_total", "Answered requests.", "route", "code"),
		accepted: counter("dwell_gateway_accepted_total", "Events and frames that Kafka has acknowledged.", "route"),
		rejected: counter("dwell_gateway_rejected_total", "Events, frames and whole requests that were refused.", "route", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dwell_gateway_answer_seconds", Help: "From a request's headers to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	var faults []error
	for _, c := range []prometheus.Collector{m.requests, m.accepted, m.rejected, m.seconds} {
		faults = append(faults, reg.Register(c))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("register the gateway's metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) accept(route string, n int) { m.accepted.WithLabelValues(route).Add(float64(n)) }

func (m *metrics) reject(route string, f *answer.Fault) {
	m.rejected.WithLabelValues(route, reason(f.Status)).Inc()
}

// reason is a status in the words of the metrics.
func reason(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "key"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusTooManyRequests:
		return "rate"
	}
	if status >= http.StatusInternalServerError {
		return "unavailable"
	}
	return "invalid"
}
