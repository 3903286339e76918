package engage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dwellhq/dwell/processors/engage/gate"
	"github.com/dwellhq/dwell/schemas"
)

// answers are the verdicts that a channel's answers become, by status.
var answers = map[string]string{
	"pushed": "PUSHED", "seen": "SEEN", "clicked": "CLICKED", "dismissed": "DISMISSED", "expired": "EXPIRED", "failed": "FAILED",
}

// onDelivery records what became of an action. The same answer to the same action counts once.
func onDelivery(t *turn, d *schemas.Delivery) {
	if err := checkDelivery(t.Key, d); err != nil {
		t.Same()
		refuse(t, "", err)
		return
	}
	if !firstSeen(t.State, deliveryHash(d.ActionId, d.Status), t.Now) {
		t.Same()
		return
	}
	defer watch(t)
	if g := t.State.Gates; d.Status == "expired" || d.Status == "failed" {
		gate.Release(g.GetSpends(), actionHash(d.ActionId))
	} else {
		gate.Shown(g.GetSpends(), actionHash(d.ActionId))
	}
	emit(t, &schemas.Verdict{
		Campaign: d.Campaign, Version: d.Version, Variant: d.Variant, Verdict: answers[d.Status], Channel: d.Channel,
		MatchId: d.MatchId, ActionId: d.ActionId,
	}, "", &detail{DeliveredMS: d.TimeMs, Error: d.Error})
}

// checkDelivery says why a delivery cannot be this key's.
func checkDelivery(key string, d *schemas.Delivery) error {
	var faults []error
	tenant, user := schemas.SplitKey(key)
	if tenant != d.Tenant || user != d.User || !strings.Contains(key, "/") {
		faults = append(faults, fmt.Errorf("key: %q is not %q", key, schemas.Key(d.Tenant, d.User)))
	}
	if d.ActionId == "" || len(d.ActionId) > schemas.MaxIDBytes {
		faults = append(faults, fmt.Errorf("action: an id of %d bytes, 1 to %d are taken", len(d.ActionId), schemas.MaxIDBytes))
	}
	if answers[d.Status] == "" {
		faults = append(faults, fmt.Errorf("status: %q is none of pushed, seen, clicked, dismissed, expired, failed", d.Status))
	}
	return errors.Join(faults...)
}
