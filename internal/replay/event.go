package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/internal/accesslog"
	"github.com/dwellhq/dwell/internal/address"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
)

// properties of a page event from a log, in the order of their names.
type properties struct {
	Bytes    int64  `json:"bytes"`
	Method   string `json:"method"`
	Path     string `json:"path"`
	Protocol string `json:"protocol"`
	Status   int    `json:"status"`
}

// event of one line. Its time is the line's, its record time is now.
func event(cfg Config, number int64, l accesslog.Line, now time.Time) (*schemas.Event, error) {
	props, err := json.Marshal(properties{l.Bytes, l.Method, l.Target, l.Protocol, l.Status})
	if err != nil {
		return nil, fmt.Errorf("encode properties: %w", err)
	}
	return &schemas.Event{
		Id: processors.DeriveID("replay", cfg.Name, strconv.FormatInt(number, 10)), Tenant: cfg.Tenant,
		AnonymousId: User(l.Address, l.Agent), Type: "page", Name: "page",
		TimeMs: l.Time.UnixMilli(), ReceivedMs: now.UnixMilli(), Properties: props,
		Path: l.Target, Referrer: l.Referrer, UserAgent: l.Agent, Address: address.Truncate(l.Address), Source: "replay:" + cfg.Name,
	}, nil
}

// User is the id of a log's visitor, client address and agent: the address, a bar, and the first 12
// hex digits of the agent's SHA-256.
func User(addr, agent string) string {
	sum := sha256.Sum256([]byte(agent))
	return addr + "|" + hex.EncodeToString(sum[:6])
}
