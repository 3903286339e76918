package gateway

import (
	"net/http"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dwellhq/dwell/gateway/ingest"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// frames are exposure snapshots of one user.
type frames struct{ *ingest.Frames }

func (f frames) record(i int, s ingest.Sender) (*kgo.Record, error) {
	frame, err := f.Frame(i, s)
	if err != nil {
		return nil, err
	}
	return record(topics.Frames, schemas.Key(frame.Tenant, frame.User), frame, s.NowMS)
}

// acknowledged is the answer to frames that Kafka has. The client puts T into its next frames.
type acknowledged struct {
	Success bool `json:"success"`
	// T is the server's time, Unix milliseconds.
	T int64 `json:"t"`
}

// takeFrames answers POST /v1/frames.
func (g *Gateway) takeFrames(w http.ResponseWriter, r *http.Request) error {
	limits := g.cfg.limits()
	p, s, err := g.receive(w, r, limits.BatchBytes, func(body []byte) (parcel, string, error) {
		f, err := ingest.ParseFrames(body, limits)
		if err != nil {
			return nil, "", err
		}
		return frames{f}, f.WriteKey, nil
	})
	if err != nil {
		return err
	}
	g.report(w, "frames", g.write(r, p, s), func() any { return acknowledged{true, g.now().UnixMilli()} })
	return nil
}
