package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dwellhq/dwell/schemas"
)

// Status of an action, as a browser or the node-to-node answer says it.
const (
	// Pushed is written to the browser, which has not answered yet.
	Pushed    = "pushed"
	Seen      = "seen"
	Clicked   = "clicked"
	Dismissed = "dismissed"
	Expired   = "expired"
	// Duplicate is an action that the browser had shown before.
	Duplicate = "duplicate"
)

// replies are what a browser may say; an action's place in it is its bit in a set.
func replies() []string { return []string{Seen, Clicked, Dismissed, Expired, Duplicate} }

// Action is what the browser gets to show.
type Action struct {
	ID       string `json:"id"`
	Campaign string `json:"campaign"`
	Content  string `json:"content"`
	Slot     string `json:"slot"`
	// ExpiresMS is Unix milliseconds; zero means never.
	ExpiresMS int64 `json:"expires_ms"`
	// Payload is a JSON object: title, body, button, link.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Command asks a node to push an action to a user who is connected there.
type Command struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
	Action Action `json:"action"`
	// The rest goes into the deliveries that follow, not to the browser.
	MatchID string `json:"match_id"`
	Version string `json:"version"`
	Variant string `json:"variant"`
	Channel string `json:"channel"`
}

// Validate reports every fault.
func (c *Command) Validate() error {
	var faults []error
	if c.Tenant == "" || strings.Contains(c.Tenant, "/") {
		faults = append(faults, fmt.Errorf("tenant: %q must be set and hold no slash", c.Tenant))
	}
	for _, f := range []struct{ name, value string }{{"user", c.User}, {"action.id", c.Action.ID}} {
		if f.value == "" {
			faults = append(faults, fmt.Errorf("%s: must be set", f.name))
		}
	}
	if len(c.Action.ID) > 2*schemas.MaxIDBytes {
		faults = append(faults, fmt.Errorf("action.id: %d bytes, at most %d are taken", len(c.Action.ID), 2*schemas.MaxIDBytes))
	}
	return errors.Join(faults...)
}

// popup is the envelope that brings an action.
type popup struct {
	// ID is the action's: what is pushed twice is answered once.
	ID     string `json:"id"`
	Cmd    string `json:"cmd"`
	Action Action `json:"action"`
}

// welcome opens a connection with the server's time, Unix milliseconds.
func welcome(ms int64) []byte { return fmt.Appendf(nil, `{"cmd":"welcome","t":%d}`, ms) }

// goodbye ends one, with how long the browser should wait before it connects again.
func goodbye(retry time.Duration) []byte {
	return fmt.Appendf(nil, `{"cmd":"close","retry_ms":%d}`, retry.Milliseconds())
}

// reply is the envelope from the browser.
type reply struct {
	Reply  string `json:"reply"`
	Status string `json:"status"`
	Action string `json:"action"`
}
