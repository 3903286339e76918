package clickhouse

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/dwellhq/dwell/sinks"
)

// lasting are ClickHouse's error codes that no retry heals. Everything else may be an outage, a
// restart, a full disk or too many parts, and is tried again.
var lasting = map[int32]string{
	16:  "run `dwell sink migrate`",                                    // NO_SUCH_COLUMN_IN_TABLE
	20:  "run `dwell sink migrate`",                                    // NUMBER_OF_COLUMNS_DOESNT_MATCH
	47:  "run `dwell sink migrate`",                                    // UNKNOWN_IDENTIFIER
	53:  "run `dwell sink migrate`; a column was changed by hand",      // TYPE_MISMATCH
	60:  "run `dwell sink migrate`",                                    // UNKNOWN_TABLE
	62:  "this dwell and this server do not fit; see `dwell doctor`",   // SYNTAX_ERROR
	81:  "run `dwell sink migrate`",                                    // UNKNOWN_DATABASE
	115: "this server is too old; see `dwell doctor`",                  // UNKNOWN_SETTING
	164: "the user is read-only: give the sink a user that may insert", // READONLY
	192: "check the user's name",                                       // UNKNOWN_USER
	193: "check the password",                                          // WRONG_PASSWORD
	194: "the user needs a password",                                   // REQUIRED_PASSWORD
	452: "a setting is constrained: let the sink's user change it",     // SETTING_CONSTRAINT_VIOLATION
	497: "grant the sink's user SELECT and INSERT on the database",     // ACCESS_DENIED
	516: "check user and password",                                     // AUTHENTICATION_FAILED
}

// fault names what failed and says whether another try makes sense.
func fault(act string, err error) error {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		if advice, ok := lasting[e.Code]; ok {
			return fmt.Errorf("%s: %w: %s", act, err, advice)
		}
	}
	return fmt.Errorf("%s: %w: %w", act, sinks.ErrRetry, err)
}
