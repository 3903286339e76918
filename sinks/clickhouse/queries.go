package clickhouse

import (
	"context"
	"fmt"
)

// Seen is how long one user had one tenant's fills in view.
type Seen struct {
	// BillableS are whole seconds of viewable fills, up to the policy's cap for each.
	BillableS int64 `json:"billable_s"`
	// ExposedMS is all time in view, milliseconds.
	ExposedMS int64 `json:"exposed_ms"`
}

// SecondsSeen sums the exposure ledger of one user.
func (s *Store) SecondsSeen(ctx context.Context, tenant, user string) (Seen, error) {
	const sql = `
SELECT sum(billable), sum(exposed) FROM (
  SELECT max(billable_s) AS billable, max(exposed_ms) AS exposed
  FROM exposure_ledger WHERE tenant = ? AND user = ? GROUP BY page_view, slot, fill)`
	var seen Seen
	if err := s.conn.QueryRow(ctx, sql, tenant, user).Scan(&seen.BillableS, &seen.ExposedMS); err != nil {
		return Seen{}, fmt.Errorf("sum the exposure ledger: %w", err)
	}
	return seen, nil
}
