package dev

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dwellhq/dwell/internal/admin"
)

// maxMetrics bounds one child's metrics page.
const maxMetrics = 8 << 20

// serveAdmin shows the health of all parts in one place, and their metrics in one page.
func (s *site) serveAdmin(ctx context.Context) error {
	srv := admin.Server{
		Addr:   local(s.cfg.AdminPort),
		Ready:  s.unready,
		Status: func() any { return s.sup.Children() },
		Metrics: prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			var pages prometheus.Gatherers
			for _, c := range s.sup.Children() {
				if addr := c.Facts["admin"]; addr != "" && c.Ready {
					pages = append(pages, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return scrape(ctx, addr) }))
				}
			}
			return pages.Gather()
		}),
	}
	return srv.Run(ctx)
}

// unready names a part that is not ready.
func (s *site) unready() error {
	for _, c := range s.sup.Children() {
		if !c.Ready {
			return fmt.Errorf("%s is not ready", c.Name)
		}
	}
	return nil
}

// scrape reads one part's metrics.
func scrape(ctx context.Context, addr string) ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", addr, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(io.LimitReader(resp.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", addr, err)
	}
	var all []*dto.MetricFamily
	for _, f := range byName {
		all = append(all, f)
	}
	return all, nil
}
