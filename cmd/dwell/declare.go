package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/internal/declare"
	"github.com/dwellhq/dwell/kafka"
)

type applyCmd struct {
	kafka.Config `embed:""`
	File         string        `short:"f" required:"" help:"File or folder of declarations (.yaml)."`
	Tenant       string        `help:"Tenant they belong to." default:"demo" env:"DWELL_TENANT"`
	DryRun       bool          `help:"Check, and show what would change, but publish nothing."`
	Timeout      time.Duration `help:"How long to wait for all workers." default:"30s"`
}

// Run implements the command.
func (c *applyCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *applyCmd) run(ctx context.Context, out io.Writer) error {
	file, err := declare.ReadAll(c.File)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	changes, err := declare.ApplyAll(ctx, c.Config, c.Tenant, declare.Documents(file), c.DryRun)
	for _, ch := range changes {
		fmt.Fprintf(out, "%s/%s %s (version %s)\n", strings.ToLower(ch.Kind), ch.Name, ch.What, ch.Version)
	}
	if err != nil || c.DryRun {
		return err
	}
	return inForce(ctx, out, c.Config)
}

// inForce waits for all workers and says so.
func inForce(ctx context.Context, out io.Writer, cluster kafka.Config) error {
	n, err := declare.Wait(ctx, cluster)
	switch {
	case errors.Is(err, declare.ErrNoWorker):
		fmt.Fprintln(out, declare.ErrNoWorker)
		return nil
	case err != nil:
		return err
	}
	fmt.Fprintf(out, "in force in %d worker(s)\n", n)
	return nil
}

type getCmd struct {
	Campaigns getCampaignsCmd `cmd:"" aliases:"campaign" help:"List the campaigns of a tenant."`
	Audiences getAudiencesCmd `cmd:"" aliases:"audience" help:"List the audiences of a tenant."`
	Traits    getTraitsCmd    `cmd:"" aliases:"trait" help:"List the traits of a tenant."`
}

type getCampaignsCmd struct {
	kafka.Config `embed:""`
	Tenant       string `help:"Tenant they belong to." default:"demo" env:"DWELL_TENANT"`
	Output       string `short:"o" help:"table, name, json, or yaml: the files as applied, ready for apply." enum:"table,name,json,yaml" default:"table"`
}

// listed is a campaign as get shows it.
type listed struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Version string    `json:"version"`
	Applied time.Time `json:"applied"`
	File    string    `json:"file"`
	// Fault says why this version cannot be in force with this program; empty: it can.
	Fault  string `json:"fault,omitempty"`
	Source string `json:"source"`
}

func listedOf(v declare.Version) listed {
	l := listed{Name: v.Name, Version: v.Version, Applied: v.Applied(), File: v.File, Source: string(v.Source), State: "deleted"}
	c, err := v.Campaign()
	switch {
	case err != nil:
		l.State, l.Fault = "faulty", err.Error()
	case c != nil:
		l.State = string(c.State)
	}
	return l
}

// Run implements the command.
func (c *getCampaignsCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *getCampaignsCmd) run(ctx context.Context, out io.Writer) error {
	all, err := declare.All(ctx, c.Config, c.Tenant)
	if err != nil {
		return err
	}
	rows := make([]listed, len(all))
	for i, v := range all {
		rows[i] = listedOf(v)
	}
	switch c.Output {
	case "json":
		return printJSON(out, rows)
	case "yaml":
		for _, r := range rows {
			fmt.Fprintf(out, "---\n%s", r.Source)
			if n := len(r.Source); n > 0 && r.Source[n-1] != '\n' {
				fmt.Fprintln(out)
			}
		}
		return nil
	case "name":
		for _, r := range rows {
			fmt.Fprintf(out, "campaign/%s\n", r.Name)
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tVERSION\tAPPLIED\tFILE")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.State, r.Version, r.Applied.Format(time.RFC3339), r.File)
	}
	return w.Flush()
}

type describeCmd struct {
	Campaign describeCampaignCmd `cmd:"" help:"Show a campaign, its versions and its file."`
	Audience describeAudienceCmd `cmd:"" help:"Show an audience: who reads it, how many are in it, its versions and its file."`
	Trait    describeTraitCmd    `cmd:"" help:"Show a trait: what it comes of, who reads it, its versions and its file."`
}

type describeCampaignCmd struct {
	kafka.Config `embed:""`
	Name         string `arg:"" help:"Name of the campaign."`
	Tenant       string `help:"Tenant it belongs to." default:"demo" env:"DWELL_TENANT"`
	Version      string `help:"Show this version instead of the newest." placeholder:"VERSION" name:"of-version"`
}

// Run implements the command.
func (c *describeCampaignCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *describeCampaignCmd) run(ctx context.Context, out io.Writer) error {
	all, now, err := declare.History(ctx, c.Config, c.Tenant, c.Name)
	if err != nil {
		return err
	}
	v := all[len(all)-1]
	if now != nil {
		v = *now
	}
	if c.Version != "" {
		i := len(all) - 1
		for i >= 0 && all[i].Version != c.Version {
			i--
		}
		if i < 0 {
			return fmt.Errorf("campaign %s has no version %s; dwell describe campaign %s lists them", c.Name, c.Version, c.Name)
		}
		v = all[i]
	}
	l := listedOf(v)
	fmt.Fprintf(out, "Name:     %s\nTenant:   %s\nState:    %s\nVersion:  %s\nApplied:  %s\nFile:     %s\n",
		l.Name, c.Tenant, l.State, cmp.Or(l.Version, "none"), l.Applied.Format(time.RFC3339), cmp.Or(l.File, "none"))
	if l.Fault != "" {
		fmt.Fprintf(out, "Fault:    %s\n", l.Fault)
	}
	printVersions(out, all, func(v declare.Version) string { return listedOf(v).State })
	printSource(out, l.Source)
	return nil
}

// printVersions lists versions, the newest first, each with its state.
func printVersions(out io.Writer, all []declare.Version, state func(declare.Version) string) {
	fmt.Fprintln(out, "Versions, newest first:")
	for _, v := range slices.Backward(all) {
		fmt.Fprintf(out, "  %-12s  %s  %-8s  %s\n", cmp.Or(v.Version, "-"), v.Applied().Format(time.RFC3339), state(v), v.File)
	}
}

// printSource shows a file as it was applied; empty: none.
func printSource(out io.Writer, source string) {
	if source == "" {
		return
	}
	fmt.Fprintf(out, "Source:\n%s", source)
	if source[len(source)-1] != '\n' {
		fmt.Fprintln(out)
	}
}

type diffCmd struct {
	kafka.Config `embed:""`
	File         string `short:"f" required:"" help:"File or folder of declarations (.yaml)."`
	Tenant       string `help:"Tenant they belong to." default:"demo" env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *diffCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *diffCmd) run(ctx context.Context, out io.Writer) error {
	file, err := declare.ReadAll(c.File)
	if err != nil {
		return err
	}
	all := declare.Documents(file)
	changes, err := declare.ApplyAll(ctx, c.Config, c.Tenant, all, true)
	for i, ch := range changes {
		if ch.What == declare.Unchanged {
			continue
		}
		fmt.Fprintf(out, "%s/%s %s\n", strings.ToLower(ch.Kind), ch.Name, ch.What)
		var before []byte
		if ch.Before != nil {
			before = ch.Before.Source
		}
		fmt.Fprint(out, declare.Diff(before, all[i].Source))
	}
	return err
}

type deleteCmd struct {
	Campaign deleteCampaignCmd `cmd:"" help:"Take a campaign away; its versions stay readable."`
	Audience deleteAudienceCmd `cmd:"" help:"Take an audience away; campaigns that name it keep their users back."`
	Trait    deleteTraitCmd    `cmd:"" help:"Take a trait away; rows forget it."`
}

type deleteCampaignCmd struct{ moveFlags }

// Run implements the command.
func (c *deleteCampaignCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return c.run(ctx, os.Stdout)
}

func (c *deleteCampaignCmd) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	version, err := declare.Delete(ctx, c.Config, c.Tenant, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "campaign/%s deleted (version %s was in force)\n", c.Name, version)
	return inForce(ctx, out, c.Config)
}

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create a key and print it; it is stored nowhere and cannot be shown again."`
	List   keyListCmd   `cmd:"" help:"List the keys of a tenant."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key; it stops working within a second."`
}

type keyCreateCmd struct {
	kafka.Config `embed:""`
	Tenant       string   `required:"" help:"Tenant that the key lets in." env:"DWELL_TENANT"`
	ID           string   `arg:"" help:"Name of the key, for lists and logs."`
	Secret       bool     `help:"A server's key, with all scopes; without it: a public one, which may send events and open a push channel."`
	Origin       []string `help:"Origins of pages that may use it, such as https://shop.example; * for any."`
}

// Run implements the command.
func (c *keyCreateCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	if strings.Contains(c.Tenant, "/") {
		return fmt.Errorf("tenant %q: a tenant holds no slash", c.Tenant)
	}
	raw := make([]byte, 20)
	if _, err := rand.Read(raw); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	key, add := "pk_"+hex.EncodeToString(raw), declare.Key
	if c.Secret {
		key, add = "sk_"+hex.EncodeToString(raw), declare.SecretKey
	}
	if _, err := add(ctx, c.Config, c.Tenant, key, c.ID, c.Origin); err != nil {
		return err
	}
	fmt.Println(key)
	return nil
}

type keyListCmd struct {
	kafka.Config `embed:""`
	Tenant       string `required:"" help:"Tenant." env:"DWELL_TENANT"`
}

// Run implements the command.
func (c *keyListCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	keys, err := declare.Keys(ctx, c.Config, c.Tenant)
	if err != nil {
		return err
	}
	for _, h := range slices.Sorted(maps.Keys(keys)) {
		k := keys[h]
		fmt.Printf("%s\t%s\tcreated %s\torigins %s\n", k.Id, strings.Join(k.Scopes, ","), time.UnixMilli(k.CreatedMs).UTC().Format(time.RFC3339), strings.Join(k.Origins, ","))
	}
	return nil
}

type keyRevokeCmd struct {
	kafka.Config `embed:""`
	Tenant       string `required:"" help:"Tenant." env:"DWELL_TENANT"`
	ID           string `arg:"" help:"Name of the key."`
}

// Run implements the command.
func (c *keyRevokeCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	n, err := declare.RevokeKey(ctx, c.Config, c.Tenant, c.ID)
	if err == nil && n == 0 {
		err = fmt.Errorf("tenant %s has no key %q; dwell key list shows what there is", c.Tenant, c.ID)
	}
	return err
}
