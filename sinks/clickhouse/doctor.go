package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// minWindow is the fewest blocks that a table must remember.
	minWindow = 100_000
	// oldest is the first version whose views deduplicate by the insert's token.
	oldestYear, oldestMonth = 24, 8
)

// made lists what Migrate makes and rows land in.
var made = []string{
	"inbox", "events", "campaign_1m", "verdicts", "actions", "exposure_ledger", "dead_letters", "sink_ledger",
	"inbox_to_events", "inbox_to_campaign_1m", "verdicts_to_campaign_1m", "campaigns_by_minute",
}

// added are columns that tables got after they were first made, by table.
var added = map[string][]string{"dead_letters": {"wake_key", "wake_at"}}

// found is one table as the server has it.
type found struct {
	name, engine, full string
	dependents         []string
}

// Check implements sinks.Sink. It refuses whatever could make a row count twice or not at all, and
// reports every fault at once.
func (s *Store) Check(ctx context.Context) error {
	var version string
	if err := s.conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return fault("ask ClickHouse for its version", err)
	}
	var faults []error
	if !supported(version) {
		faults = append(faults, fmt.Errorf("ClickHouse %s is too old: upgrade it to %d.%d or newer", version, oldestYear, oldestMonth))
	}
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range made {
		if !slices.ContainsFunc(tables, func(t found) bool { return t.name == name }) {
			faults = append(faults, fmt.Errorf("table %s is missing: run `dwell sink migrate`", name))
		}
	}
	for _, t := range tables {
		faults = append(faults, t.faults()...)
	}
	lacking, err := s.lacking(ctx)
	if err != nil {
		return err
	}
	return errors.Join(append(faults, lacking...)...)
}

// lacking are the columns that migrations added since, and a table does not have.
func (s *Store) lacking(ctx context.Context) (faults []error, err error) {
	for table, columns := range added {
		for _, name := range columns {
			var there uint64
			q := "SELECT countIf(name = ?) + (count() = 0) FROM system.columns WHERE database = currentDatabase() AND table = ?"
			if err := s.conn.QueryRow(ctx, q, name, table).Scan(&there); err != nil {
				return nil, fault("list the columns of "+table, err)
			}
			if there == 0 {
				faults = append(faults, fmt.Errorf("table %s: it has no column %s: run `dwell sink migrate`", table, name))
			}
		}
	}
	return faults, nil
}

func (s *Store) tables(ctx context.Context) ([]found, error) {
	rows, err := s.conn.Query(ctx, "SELECT name, engine, engine_full, dependencies_table FROM system.tables WHERE database = currentDatabase()")
	if err != nil {
		return nil, fault("list the tables", err)
	}
	defer rows.Close()
	var all []found
	for rows.Next() {
		var t found
		if err := rows.Scan(&t.name, &t.engine, &t.full, &t.dependents); err != nil {
			return nil, fault("list the tables", err)
		}
		if slices.Contains(made, t.name) {
			all = append(all, t)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fault("list the tables", err)
	}
	return all, nil
}

// faults of one table.
func (t found) faults() []error {
	var faults []error
	add := func(format string, a ...any) { faults = append(faults, fmt.Errorf("table "+t.name+": "+format, a...)) }
	if t.engine == "Distributed" {
		add("it is Distributed, where a token means nothing: insert into the shards' own tables")
	}
	if strings.Contains(t.engine, "Replacing") && len(t.dependents) > 0 {
		add("views hang behind it (%s), and would count a replaced row again: drop them", strings.Join(t.dependents, ", "))
	}
	if !t.forgets() {
		return faults
	}
	setting := "non_replicated_deduplication_window"
	if strings.HasPrefix(t.engine, "Replicated") {
		setting = "replicated_deduplication_window"
	}
	if n := t.setting(setting); n < minWindow {
		add("it remembers %d inserts, and must remember %d: run ALTER TABLE %s MODIFY SETTING %s = %d", n, minWindow, t.name, setting, minWindow)
	}
	const seconds = "replicated_deduplication_window_seconds"
	if n := t.setting(seconds); strings.HasPrefix(t.engine, "Replicated") && n < 7*24*3600 {
		add("it remembers inserts for %d s, and must for a week: run ALTER TABLE %s MODIFY SETTING %s = %d", n, t.name, seconds, 7*24*3600)
	}
	return faults
}

// forgets: rows lie in it, so it has a window.
func (t found) forgets() bool { return strings.HasSuffix(t.engine, "MergeTree") }

// setting is a number in the table's SETTINGS; 0 if it is not there, whatever the default: defaults change.
func (t found) setting(name string) int64 {
	m := regexp.MustCompile(`\b` + name + ` = (\d+)`).FindStringSubmatch(t.full)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// smallestWindow is looked up once.
func (s *Store) smallestWindow(ctx context.Context) (int64, error) {
	if n := s.window.Load(); n > 0 {
		return n, nil
	}
	tables, err := s.tables(ctx)
	if err != nil {
		return 0, err
	}
	least := int64(0)
	for _, t := range tables {
		if !t.forgets() || strings.Contains(t.engine, "Replacing") {
			continue
		}
		n := max(t.setting("non_replicated_deduplication_window"), t.setting("replicated_deduplication_window"))
		if least == 0 || n < least {
			least = n
		}
	}
	s.window.Store(least)
	return least, nil
}

// supported reads a version such as 26.7.3.1.
func supported(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	year, errYear := strconv.Atoi(parts[0])
	month, errMonth := strconv.Atoi(parts[1])
	return errYear == nil && errMonth == nil && (year > oldestYear || year == oldestYear && month >= oldestMonth)
}
