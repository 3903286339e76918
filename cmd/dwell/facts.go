package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

type factsCmd struct {
	Cat factsCatCmd `cmd:"" help:"Print every fact in the log, one JSON object a line."`
}

type factsCatCmd struct {
	kafka.Config `embed:""`
}

// factLine is a fact as people read it.
type factLine struct {
	EventID    string          `json:"event_id"`
	Tenant     string          `json:"tenant"`
	User       string          `json:"user"`
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	Time       time.Time       `json:"time"`
	Received   time.Time       `json:"received"`
	N          uint32          `json:"n"`
	Path       string          `json:"path,omitempty"`
	Referrer   string          `json:"referrer,omitempty"`
	UserAgent  string          `json:"user_agent,omitempty"`
	Address    string          `json:"address,omitempty"`
	Source     string          `json:"source,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
	At         string          `json:"at"`
}

// Run implements the command.
func (c *factsCatCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return catFacts(ctx, c.Config)
}

func catFacts(ctx context.Context, cluster kafka.Config) error {
	out := bufio.NewWriter(os.Stdout)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := kafka.ReadAll(ctx, cluster, topics.Facts.Spec, func(e kafka.Entry) error {
		block, err := schemas.FactBlocks{}.Unpack(e.Value)
		if err != nil {
			return err
		}
		for i := range block.Len() {
			f := block.Fact(i)
			line := factLine{
				f.EventID, f.Tenant, f.User, f.Type, f.Name, time.UnixMilli(f.TimeMS).UTC(), time.UnixMilli(f.ReceivedMS).UTC(), f.N,
				f.Path, f.Referrer, f.UserAgent, f.Address, f.Source, f.Properties, f.At.String(),
			}
			if err := enc.Encode(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.Flush()
}
