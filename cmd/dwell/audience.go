package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/internal/audience"
	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors/engage/campaign"
)

type audienceCmd struct {
	Load audienceLoadCmd `cmd:"" help:"Load the members of an uploaded audience, and switch to them at once for all users."`
	Ls   audienceLsCmd   `cmd:"" help:"List the audiences of a tenant."`
	Show audienceShowCmd `cmd:"" help:"Show an audience, or how a user stands to it."`
	Drop audienceDropCmd `cmd:"" help:"Empty an uploaded audience at once for all users."`
}

type audienceLoadCmd struct {
	kafka.Config `embed:""`
	Name         string        `arg:"" help:"Name of the audience; its file says list: true."`
	File         string        `arg:"" help:"Members: CSV, plain or gzip; the user id in the column that the first line names user_id, else in the first." type:"existingfile"`
	Tenant       string        `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
	Resume       string        `help:"Go on with a load that was interrupted, as it said." placeholder:"VERSION:LINE"`
	SkipBad      bool          `help:"Switch although lines name no member."`
	Timeout      time.Duration `help:"How long to wait for the brokers and the workers." default:"1h"`
}

// Run implements the command.
func (c *audienceLoadCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *audienceLoadCmd) run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	l := audience.Load{Cluster: c.Config, Tenant: c.Tenant, Name: c.Name, SkipBad: c.SkipBad}
	if l.Version, l.After, err = resumed(c.Resume); err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("read the members: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	began, said := time.Now(), time.Time{}
	l.Tell = func(p audience.Progress) {
		if now := time.Now(); now.Sub(said) >= time.Second {
			said = now
			fmt.Fprintln(out, progressLine(p, now.Sub(began)))
		}
	}
	list, err := l.Run(ctx, c.File, f)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "audience/%s version %d is current: %d members of %s, %d bad lines, in %v\n",
		c.Name, list.Version, list.Members, filepath.Base(c.File), list.Bad, time.Since(began).Round(time.Millisecond))
	return inForce(ctx, out, c.Config)
}

// resumed reads VERSION:LINE; nothing is a load from the start.
func resumed(s string) (version, line int64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	v, l, _ := strings.Cut(s, ":")
	version, err = strconv.ParseInt(v, 10, 64)
	line, lineErr := strconv.ParseInt(l, 10, 64)
	if err != nil || lineErr != nil || version <= 0 || line < 0 {
		return 0, 0, fmt.Errorf("--resume %s: write VERSION:LINE as the interrupted load said", s)
	}
	return version, line, nil
}

func progressLine(p audience.Progress, took time.Duration) string {
	switch p.Phase {
	case audience.Reading:
		return fmt.Sprintf("version %d: %d members written, the workers have %d records to read yet", p.Version, p.Members, p.Behind)
	case audience.Switching:
		return fmt.Sprintf("version %d: all workers have %d members, switching", p.Version, p.Members)
	}
	return fmt.Sprintf("version %d: %d members written up to line %d (%.0f/s), %d bad lines; to go on from here: --resume %d:%d",
		p.Version, p.Members, p.Line, float64(p.Members)/max(took.Seconds(), 0.001), p.Bad, p.Version, p.Line)
}

type audienceLsCmd struct {
	kafka.Config `embed:""`
	Tenant       string `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
	JSON         bool   `name:"json" help:"Print a JSON list."`
}

// Run implements the command.
func (c *audienceLsCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *audienceLsCmd) run(ctx context.Context, out io.Writer) error {
	all, err := audience.Lists(ctx, c.Config, c.Tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out, all)
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tMEMBERS\tVERSION\tLOADED\tFILE OR RULE")
	for _, a := range all {
		fmt.Fprintln(w, audienceLine(a))
	}
	return w.Flush()
}

func audienceLine(a audience.Audience) string {
	switch {
	case a.Fault != "":
		return a.Name + "\tfaulty\t-\t-\t-\t" + strings.ReplaceAll(a.Fault, "\n", "; ")
	case !a.Uploaded:
		return a.Name + "\trule\t-\t-\t-\t" + a.Where
	case a.Current.Version == 0:
		return a.Name + "\tlist\t-\t-\tnever\t-"
	}
	return fmt.Sprintf("%s\tlist\t%d\t%d\t%s\t%s", a.Name, a.Current.Members, a.Current.Version, a.Current.Loaded.Format(time.RFC3339), a.Current.File)
}

type audienceShowCmd struct {
	kafka.Config `embed:""`
	Name         string `arg:"" help:"Name of the audience."`
	User         string `help:"Say whether this user is in it; without it: show the audience."`
	Tenant       string `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *audienceShowCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *audienceShowCmd) run(ctx context.Context, out io.Writer) error {
	if c.User != "" {
		s, err := audience.Show(ctx, c.Config, c.Tenant, c.Name, c.User, time.Now())
		if err != nil {
			return err
		}
		return printJSON(out, s)
	}
	all, err := audience.Lists(ctx, c.Config, c.Tenant)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == c.Name {
			return printJSON(out, a)
		}
	}
	return fmt.Errorf("tenant %s has no audience %q; dwell audience ls shows what there is", c.Tenant, c.Name)
}

type audienceDropCmd struct{ moveFlags }

// Run implements the command.
func (c *audienceDropCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *audienceDropCmd) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	list, err := audience.Drop(ctx, c.Config, c.Tenant, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "audience/%s is empty (version %d)\n", c.Name, list.Version)
	return inForce(ctx, out, c.Config)
}

// The commands on audiences and traits below get and delete.
type (
	getAudiencesCmd struct{ audienceLsCmd }

	getTraitsCmd struct {
		kafka.Config `embed:""`
		Tenant       string `help:"Tenant." default:"demo" env:"DWELL_TENANT"`
	}

	deleteAudienceCmd struct{ moveFlags }
	deleteTraitCmd    struct{ moveFlags }
)

// Run implements the command.
func (c *getTraitsCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *getTraitsCmd) run(ctx context.Context, out io.Writer) error {
	all, err := declare.AllOf(ctx, c.Config, campaign.TraitKind, c.Tenant)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tCOMPUTES\tEVENT\tOVER\tVERSION\tAPPLIED\tFILE")
	for _, v := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.Name, traitLine(v), v.Version, v.Applied().Format(time.RFC3339), v.File)
	}
	return w.Flush()
}

func traitLine(v declare.Version) string {
	f, err := campaign.ParseFile(cmp.Or(v.File, v.Name), v.Source)
	if err != nil {
		return "faulty\t-\t-"
	}
	for _, t := range f.Traits {
		switch d := t.Computed; {
		case t.Name != v.Name:
		case d == nil:
			return "identify's\t-\t-"
		case d.Over == 0:
			return fmt.Sprintf("%s %s\t%s\tever", d.Of, d.Field, d.Event)
		default:
			return fmt.Sprintf("%s %s\t%s\t%v in panes of %v", d.Of, d.Field, d.Event, d.Over, d.Pane)
		}
	}
	return "faulty\t-\t-"
}

// describeFlags are those of the commands that show an audience or a trait.
type describeFlags struct {
	kafka.Config `embed:""`
	Name         string `arg:"" help:"Its name."`
	Tenant       string `help:"Tenant it belongs to." default:"demo" env:"DWELL_TENANT"`
	Version      string `help:"Show this version instead of the newest." placeholder:"VERSION" name:"of-version"`
}

type (
	describeAudienceCmd struct{ describeFlags }
	describeTraitCmd    struct{ describeFlags }
)

// Run implements the command.
func (c *describeAudienceCmd) Run() error { return toTerminal(c.run) }

func (c *describeAudienceCmd) run(ctx context.Context, out io.Writer) error {
	return c.show(ctx, out, campaign.AudienceKind)
}

// Run implements the command.
func (c *describeTraitCmd) Run() error { return toTerminal(c.run) }

func (c *describeTraitCmd) run(ctx context.Context, out io.Writer) error {
	return c.show(ctx, out, campaign.TraitKind)
}

// show prints what is known of an audience or a trait.
func (c *describeFlags) show(ctx context.Context, out io.Writer, kind string) error {
	d, err := declare.Describe(ctx, c.Config, kind, c.Tenant, c.Name)
	if err != nil {
		return err
	}
	v, err := d.Pick(c.Version)
	if err != nil {
		return fmt.Errorf("%s %w", strings.ToLower(kind), err)
	}
	fmt.Fprintf(out, "Name:     %s\nTenant:   %s\nKind:     %s\nVersion:  %s\nApplied:  %s\nFile:     %s\n",
		v.Name, c.Tenant, stateOf(v), cmp.Or(v.Version, "none"), v.Applied().Format(time.RFC3339), cmp.Or(v.File, "none"))
	if err := facts(out, v, d.Loads); err != nil {
		return err
	}
	fmt.Fprintln(out, "Read by:")
	for _, r := range d.Readers {
		fmt.Fprintf(out, "  %s/%s  %s\n", strings.ToLower(r.Kind), r.Name, strings.TrimPrefix(r.State+", "+r.As, ", "))
	}
	if len(d.Readers) == 0 {
		fmt.Fprintln(out, "  nothing")
	}
	printVersions(out, d.Versions, stateOf)
	printSource(out, string(v.Source))
	return nil
}

// facts prints what a version of an audience or a trait comes of, and who is in it.
func facts(out io.Writer, v declare.Version, loads []declare.Version) error {
	if v.Deleted {
		return nil
	}
	f, err := campaign.ParseFile(cmp.Or(v.File, v.Name), v.Source)
	if err != nil {
		fmt.Fprintf(out, "Fault:    %s\n", err)
		return nil //nolint:nilerr // it is shown
	}
	if stateOf(v) == "computed" {
		fmt.Fprintf(out, "Computes: %s\n", strings.ReplaceAll(traitLine(v), "\t", ", "))
	}
	for _, a := range f.Audiences {
		switch {
		case a.Name != v.Name:
		case a.List:
			return printLoads(out, loads)
		default:
			fmt.Fprintf(out, "Where:    %s\nMembers:  nobody counts them; dwell audience show %s --user USER tells of one\n", a.Where, a.Name)
		}
	}
	return nil
}

// printLoads tells of an uploaded audience's members, the version that is current first.
func printLoads(out io.Writer, loads []declare.Version) error {
	if len(loads) == 0 {
		fmt.Fprintln(out, "Members:  never loaded")
	}
	for i, v := range slices.Backward(loads) {
		var l audience.List
		if err := json.Unmarshal(v.Source, &l); err != nil {
			return fmt.Errorf("version %s of list %s: %w", v.Version, v.Name, err)
		}
		fmt.Fprintf(out, "%-9s %d  version %d  %s  %s\n", map[bool]string{true: "Members:"}[i == len(loads)-1], l.Members, l.Version, l.Loaded.Format(time.RFC3339), l.File)
	}
	return nil
}

// stateOf is what a version of an audience or a trait is: list, rule, computed, identify's, faulty or deleted.
func stateOf(v declare.Version) string {
	f, err := campaign.ParseFile(cmp.Or(v.File, v.Name), v.Source)
	switch {
	case v.Deleted:
		return "deleted"
	case err != nil:
		return "faulty"
	}
	for _, a := range f.Audiences {
		if a.Name == v.Name && a.List {
			return "list"
		} else if a.Name == v.Name {
			return "rule"
		}
	}
	for _, t := range f.Traits {
		if t.Name == v.Name && t.Computed == nil {
			return "identify's"
		}
	}
	return "computed"
}

// Run implements the command.
func (c *deleteAudienceCmd) Run() error { return toTerminal(c.run) }

func (c *deleteAudienceCmd) run(ctx context.Context, out io.Writer) error {
	return c.remove(ctx, out, campaign.AudienceKind)
}

// Run implements the command.
func (c *deleteTraitCmd) Run() error { return toTerminal(c.run) }

func (c *deleteTraitCmd) run(ctx context.Context, out io.Writer) error {
	return c.remove(ctx, out, campaign.TraitKind)
}

// toTerminal runs a command until it is done or interrupted.
func toTerminal(run func(context.Context, io.Writer) error) error {
	ctx, stop := interruptible()
	defer stop()
	return run(ctx, os.Stdout)
}

// remove takes a declaration of a kind away and waits for the workers.
func (c *moveFlags) remove(ctx context.Context, out io.Writer, kind string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	version, err := declare.DeleteKind(ctx, c.Config, kind, c.Tenant, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s/%s deleted (version %s was in force)\n", strings.ToLower(kind), c.Name, version)
	return inForce(ctx, out, c.Config)
}
