package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/erase"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
)

type eraseCmd struct {
	kafka.Config `embed:""`
	User         string        `help:"User id of the person." xor:"who" required:""`
	Anonymous    string        `help:"Anonymous id instead, as the page knows it. If a user claimed it, that user is erased, too." xor:"who" required:""`
	Lift         bool          `help:"Take the suppression back: what comes from now on counts again. What was erased stays so."`
	Timeout      time.Duration `help:"How long to wait for the workers." default:"30s"`
	JSON         bool          `name:"json" help:"Print the answers as JSON."`
	Tenant       string        `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *eraseCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *eraseCmd) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	user := c.User
	if user == "" {
		user = schemas.AnonymousUser(c.Anonymous)
	}
	all, err := erase.Run(ctx, c.Config, erase.Command{Tenant: c.Tenant, User: user, Lift: c.Lift})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out, all)
	}
	_, err = io.WriteString(out, erased(c.Tenant, all))
	return err
}

// erased is what was done, and what is left to do.
func erased(tenant string, all []erase.Answer) string {
	var b strings.Builder
	var users []string
	for _, a := range all {
		users = append(users, quoted(a.User))
		for _, id := range a.Claimed {
			users = append(users, quoted(id))
		}
		switch {
		case a.Reason != "":
			fmt.Fprintf(&b, "%s: %s\n", a.User, a.Reason)
		case a.Verdict == "LIFTED":
			fmt.Fprintf(&b, "%s: no longer suppressed; what comes from now on counts, as of somebody new\n", a.User)
		default:
			fmt.Fprintf(&b, "%s: erased: progress in %d campaigns, %d responses that waited, the profile, %d ids that pointed here\n", a.User, a.Campaigns, a.Pending, len(a.Claimed))
		}
		if a.Owner != "" {
			fmt.Fprintf(&b, "%s was %s's by a claim: %s is erased, too\n", a.User, a.Owner, a.Owner)
		}
	}
	if len(all) == 0 || all[0].Verdict == "LIFTED" {
		return b.String()
	}
	in := fmt.Sprintf("tenant = %s AND user IN (%s)", quoted(tenant), strings.Join(users, ", "))
	fmt.Fprintf(&b, `What comes of these ids from now on is SUPPRESSED, until dwell erase --lift.

Not erased by this command:
- the topics: records stay until their retention is over, compacted ones until the brokers compact them;
- the tables in ClickHouse. To delete there, once the sink has what was under way:
`)
	for _, table := range []string{"events", "verdicts", "actions", "exposure_ledger"} {
		fmt.Fprintf(&b, "    ALTER TABLE %s DELETE WHERE %s\n", table, in)
	}
	b.WriteString("  the cubes hold counts and no ids; dead_letters holds whole records, look with dwell dlq ls\n")
	return b.String()
}

// quoted is a text in SQL.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
