package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/sinks/channels"
)

// maxSample is the longest decision → push that is a sample: older decisions come from a replayed
// log, whose times say nothing about us.
const maxSample = 24 * time.Hour

type metrics struct {
	pushes  *prometheus.CounterVec
	tries   *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, d *Dispatcher) metrics {
	f := promauto.With(reg)
	gauge := func(name, help string, get func() int) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(get()) })
	}
	gauge("dwell_engager_waiting_actions", "Actions that wait for their user or their turn.", func() int { return d.Status().Waiting })
	gauge("dwell_engager_open_tries", "Tries to deliver that are under way.", func() int { return d.Status().Open })
	gauge("dwell_engager_unconfirmed_reports", "Deliveries that no broker has confirmed.", func() int { return d.Status().Unconfirmed })
	return metrics{
		pushes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "dwell_engager_deliveries_total", Help: "Actions that came to their end here, by what became of them.",
		}, []string{"channel", "status"}),
		tries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "dwell_engager_tries_total", Help: "Tries to deliver, by outcome.",
		}, []string{"outcome"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "dwell_decision_to_push_seconds", Help: "From the decision to the moment when the gateway node had the action, the wait for an absent user included.",
			Buckets: []float64{.005, .01, .02, .05, .1, .2, .3, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600},
		}),
	}
}

// pushed samples one delivery. A node that waited in vain for the browser's reply had the action
// before that wait.
func (m metrics) pushed(a *schemas.Action, r channels.Receipt, now time.Time) {
	took := now.Sub(time.UnixMilli(a.DecidedMs)) - r.Waited
	if a.DecidedMs > 0 && took < maxSample {
		m.seconds.Observe(max(took, 0).Seconds())
	}
}
