package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	all, err := declare.Read(c.File)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	changes, err := declare.Apply(ctx, c.Config, c.Tenant, all, c.DryRun)
	for _, ch := range changes {
		fmt.Printf("campaign/%s %s (version %s)\n", ch.Name, ch.What, ch.Version)
	}
	if err != nil || c.DryRun {
		return err
	}
	n, err := declare.Wait(ctx, c.Config)
	switch {
	case errors.Is(err, declare.ErrNoWorker):
		fmt.Println(declare.ErrNoWorker)
		return nil
	case err != nil:
		return err
	}
	fmt.Printf("in force in %d worker(s)\n", n)
	return nil
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
