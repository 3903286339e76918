package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/internal/declare/schema"
	"github.com/dwellhq/dwell/internal/rehearse"
	"github.com/dwellhq/dwell/internal/why"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/campaign"
)

type campaignCmd struct {
	Pause    pauseCmd    `cmd:"" help:"Let a live campaign rest: it looks at no event until it is resumed."`
	Resume   resumeCmd   `cmd:"" help:"Let a paused campaign go on; users' progress is kept."`
	Archive  archiveCmd  `cmd:"" help:"End a paused campaign for good; it stays readable."`
	Why      whyCmd      `cmd:"" help:"Say why a user did, or did not, get a campaign."`
	Rehearse rehearseCmd `cmd:"" help:"Run a campaign file over recorded events and count what it would do; nothing is sent."`
}

// moveFlags are those of the commands that change a campaign's state.
type moveFlags struct {
	kafka.Config `embed:""`
	Name         string        `arg:"" help:"Name of the campaign."`
	Tenant       string        `help:"Tenant it belongs to." default:"demo" env:"DWELL_TENANT"`
	Timeout      time.Duration `help:"How long to wait for all workers." default:"30s"`
}

type (
	pauseCmd   struct{ moveFlags }
	resumeCmd  struct{ moveFlags }
	archiveCmd struct{ moveFlags }
)

// Run implements the command.
func (c *pauseCmd) Run() error { return c.Move(campaign.Paused) }

// Run implements the command.
func (c *resumeCmd) Run() error { return c.Move(campaign.Live) }

// Run implements the command.
func (c *archiveCmd) Run() error { return c.Move(campaign.Archived) }

// Move gives the campaign another state and waits for the workers.
func (c *moveFlags) Move(to campaign.State) error {
	ctx, stop := interruptible()
	defer stop()
	return c.move(ctx, os.Stdout, to)
}

func (c *moveFlags) move(ctx context.Context, out io.Writer, to campaign.State) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	ch, err := declare.Move(ctx, c.Config, c.Tenant, c.Name, to)
	if err != nil {
		return err
	}
	if ch.What == declare.Unchanged {
		fmt.Fprintf(out, "campaign/%s is %s already (version %s)\n", ch.Name, to, ch.Version)
	} else {
		fmt.Fprintf(out, "campaign/%s %s (version %s)\n", ch.Name, to, ch.Version)
	}
	return inForce(ctx, out, c.Config)
}

type whyCmd struct {
	kafka.Config `embed:""`
	Name         string    `arg:"" help:"Name of the campaign."`
	User         string    `required:"" help:"User: the user id, or ~ and the anonymous id."`
	At           time.Time `help:"Answer for this time (RFC 3339); without it: now." format:"2006-01-02T15:04:05Z07:00"`
	JSON         bool      `name:"json" help:"Print one JSON object."`
	Tenant       string    `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *whyCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout, time.Now())
}

func (c *whyCmd) run(ctx context.Context, out io.Writer, now time.Time) error {
	q := why.Question{Tenant: c.Tenant, Campaign: c.Name, User: c.User, At: c.At}
	if q.At.IsZero() {
		q.At = now
	}
	a, err := why.Ask(ctx, c.Config, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out, a)
	}
	return a.Print(out)
}

type rehearseCmd struct {
	kafka.Config `embed:""`
	File         string `arg:"" help:"Campaign file, or a folder of them: all of it is rehearsed together." type:"path"`
	Events       string `help:"Events to go over: NDJSON, plain or gzip, one call in the Segment shape a line." type:"existingfile" xor:"from" required:""`
	Since        string `help:"Go over the tenant's events in Kafka from this long ago, such as 30d or 12h." xor:"from" required:""`
	Decisions    string `help:"Write every verdict to this file, one JSON object a line." type:"path"`
	JSON         bool   `name:"json" help:"Print the report as one JSON object."`
	Tenant       string `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *rehearseCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout, time.Now())
}

func (c *rehearseCmd) run(ctx context.Context, out io.Writer, now time.Time) (err error) {
	all, err := declare.ReadAll(c.File)
	if err != nil {
		return err
	}
	var decisions io.Writer
	if c.Decisions != "" {
		f, err := os.Create(c.Decisions)
		if err != nil {
			return fmt.Errorf("write the decisions: %w", err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		decisions = w
		defer func() { err = errors.Join(err, w.Flush(), f.Close()) }()
	}
	r, err := rehearse.NewOf(c.Tenant, all, decisions)
	if err != nil {
		return err
	}
	report, err := c.over(ctx, r, now)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out, report)
	}
	return report.Print(out)
}

// over goes over the events.
func (c *rehearseCmd) over(ctx context.Context, r *rehearse.Rehearsal, now time.Time) (*rehearse.Report, error) {
	if c.Since != "" {
		span, err := rehearse.ParseSince(c.Since)
		if err != nil {
			return nil, err
		}
		return r.Topic(ctx, c.Config, now.Add(-span), now)
	}
	f, err := os.Open(c.Events)
	if err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	defer f.Close()
	report, err := r.File(f, c.Partitions)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Events, err)
	}
	return report, nil
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

type schemaCmd struct {
	Campaign schemaCampaignCmd `cmd:"" help:"Print the JSON schema of campaign files, for editors."`
	Audience schemaAudienceCmd `cmd:"" help:"Print the JSON schema of audience files."`
	Trait    schemaTraitCmd    `cmd:"" help:"Print the JSON schema of trait files."`
}

type (
	schemaCampaignCmd struct{}
	schemaAudienceCmd struct{}
	schemaTraitCmd    struct{}
)

// Run implements the command.
func (c *schemaCampaignCmd) Run() error { return c.run(os.Stdout) }

func (c *schemaCampaignCmd) run(out io.Writer) error { return printSchema(out, schema.Campaign) }

// Run implements the command.
func (c *schemaAudienceCmd) Run() error { return printSchema(os.Stdout, schema.Audience) }

// Run implements the command.
func (c *schemaTraitCmd) Run() error { return printSchema(os.Stdout, schema.Trait) }

func printSchema(out io.Writer, of func() (*schema.Node, error)) error {
	s, err := of()
	if err != nil {
		return err
	}
	return printJSON(out, s)
}
