package push

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the push channel.
type metrics struct {
	connections         prometheus.Gauge
	seconds             prometheus.Histogram
	slow, ignored, lost prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dwell_push_connections", Help: "Open push connections."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dwell_push_seconds", Help: "From a push command to the browser's reply.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		slow:    counter("dwell_push_slow_peers_total", "Connections cut off because the peer read too slowly."),
		ignored: counter("dwell_push_ignored_messages_total", "Messages of browsers that were no reply."),
		lost:    counter("dwell_push_lost_replies_total", "Replies that could not be written to Kafka."),
	}
	var faults []error
	for _, c := range []prometheus.Collector{m.connections, m.seconds, m.slow, m.ignored, m.lost} {
		faults = append(faults, reg.Register(c))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("register the push metrics: %w", err)
	}
	return m, nil
}
