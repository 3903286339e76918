package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// perRequest is the events of one background request.
const perRequest = 10

// load sends events of many users at a steady rate: one in ten is read by the demo's campaign.
type load struct {
	url, key string
	rate     int
	sent     atomic.Int64
	elapsed  time.Duration
}

// run sends until ctx ends; a refused request ends it.
func (l *load) run(ctx context.Context) error {
	began := time.Now()
	defer func() { l.elapsed = time.Since(began) }()
	if l.rate <= 0 {
		<-ctx.Done()
		return nil
	}
	client := &http.Client{Timeout: 10 * time.Second}
	tick := time.NewTicker(time.Second * perRequest / time.Duration(l.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := l.send(ctx, client, n); err != nil && ctx.Err() == nil {
			return fmt.Errorf("background load: %w", err)
		}
	}
}

type loadEvent struct {
	Type       string         `json:"type"`
	UserID     string         `json:"userId"`
	Event      string         `json:"event"`
	MessageID  string         `json:"messageId"`
	Properties map[string]any `json:"properties"`
}

func (l *load) send(ctx context.Context, client *http.Client, n int) error {
	var batch struct {
		WriteKey string      `json:"writeKey"`
		Batch    []loadEvent `json:"batch"`
	}
	batch.WriteKey = l.key
	for i := range perRequest {
		e := loadEvent{
			Type: "track", UserID: fmt.Sprint("load-", (n*perRequest+i)%20_000), Event: "bet_placed",
			MessageID: fmt.Sprintf("load-%d-%d-%d", time.Now().UnixNano(), n, i), Properties: map[string]any{"amount": i, "game": "roulette"},
		}
		if i == 0 {
			e.Event, e.Properties["result"] = "bet_settled", "loss"
		}
		batch.Batch = append(batch.Batch, e)
	}
	body, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	l.sent.Add(perRequest)
	return nil
}
