package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/dwellhq/dwell/internal/bench"
)

type benchCmd struct {
	Popup benchPopupCmd `cmd:"" help:"Event to popup, in a real browser on the demo page, with background load, against a running dwell (make run)."`
}

type benchPopupCmd struct {
	URL     string `help:"Pages and API of the dwell to measure." default:"http://127.0.0.1:8080"`
	Key     string `help:"Write key of the background load." default:"demo"`
	Rate    int    `help:"Background load, events per second." default:"1000"`
	N       int    `help:"Popups to measure." short:"n" default:"200"`
	Browser string `help:"Path of a Chromium; empty: the first in PATH." type:"path"`
	JSON    bool   `help:"Print JSON."`
}

// popupResult is one row of the table: quantiles in milliseconds.
type popupResult struct {
	What string  `json:"what"`
	N    int     `json:"n"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// Run implements the command.
func (c *benchPopupCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	t, err := bench.Popup{URL: c.URL, Key: c.Key, Rate: c.Rate, N: c.N, Browser: c.Browser}.Run(ctx)
	if err != nil {
		return err
	}
	rows := []popupResult{result("event → answer (in the log)", t.Answer), result("event → popup on the screen", t.Popup)}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	fmt.Printf("%d events in the background over %.1f s: %.0f events/s\n\n", t.Sent, t.Seconds, float64(t.Sent)/max(t.Seconds, 1e-3))
	fmt.Printf("%-30s %6s %8s %8s %8s %8s\n", "milliseconds", "n", "p50", "p90", "p99", "max")
	for _, r := range rows {
		fmt.Printf("%-30s %6d %8.1f %8.1f %8.1f %8.1f\n", r.What, r.N, r.P50, r.P90, r.P99, r.Max)
	}
	return nil
}

func result(what string, sorted []float64) popupResult {
	return popupResult{
		what, len(sorted), bench.Quantile(sorted, 0.5), bench.Quantile(sorted, 0.9), bench.Quantile(sorted, 0.99), bench.Quantile(sorted, 1),
	}
}
