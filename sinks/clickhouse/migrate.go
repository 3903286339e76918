package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"math"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versions is the table in which goose notes what ran.
const versions = "migrations"

// Migrate makes the database and brings its tables to this program's version. It may run again, and
// in several processes at once: every statement is idempotent. An error that wraps sinks.ErrRetry
// means that the server did not answer.
func (s *Store) Migrate(ctx context.Context) error { return s.migrateTo(ctx, math.MaxInt64) }

// migrateTo is Migrate up to a version, that one included.
func (s *Store) migrateTo(ctx context.Context, version int64) error {
	opt, err := s.cfg.options()
	if err != nil {
		return err
	}
	name := opt.Auth.Database
	opt.Auth.Database = "default"
	first, err := clickhouse.Open(opt)
	if err != nil {
		return fmt.Errorf("open clickhouse: %w", err)
	}
	defer first.Close()
	if err := first.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+name+" COMMENT 'What users did and what dwell decided'"); err != nil {
		return fault("make database "+name, err)
	}
	opt.Auth.Database = name
	db := clickhouse.OpenDB(opt)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	store, err := database.NewStore(database.DialectClickHouse, versions)
	if err != nil {
		return fmt.Errorf("prepare the migrations: %w", err)
	}
	p, err := goose.NewProvider("", db, files, goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return fault("migrate database "+name, err)
	}
	return nil
}
