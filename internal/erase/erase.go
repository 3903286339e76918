// Package erase has the Decider forget a user, or let one come again: a command goes into the log, and
// the answers of the rows that took it come back as verdicts.
package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/processors/engage"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Command says whom to forget.
type Command struct {
	Tenant string
	// User as tables name it: the user id, or an anonymous id with its mark.
	User string
	// Lift takes the suppression back; what was erased stays so.
	Lift bool
}

// Answer is what one row did.
type Answer struct {
	User string `json:"user"`
	// Verdict is ERASED or LIFTED.
	Verdict string    `json:"verdict"`
	Time    time.Time `json:"time"`
	// Campaigns of which progress was held, Pending responses that waited, Claimed ids that pointed to it.
	Campaigns int      `json:"campaigns"`
	Pending   int      `json:"pending"`
	Claimed   []string `json:"claimed,omitempty"`
	// Owner is the user that had claimed the id, and was erased as well.
	Owner string `json:"owner,omitempty"`
	// Reason why nothing was done.
	Reason string `json:"reason,omitempty"`
}

// lookEvery is how often the answers are looked for.
const lookEvery = 200 * time.Millisecond

// ErrUnanswered says that the command is in the log, but no worker has answered in time; one will.
var ErrUnanswered = errors.New("the command is in the log, but no worker has answered yet")

// Run sends the command and waits until it was done, or ctx ends. The answers are those of the user's
// row and, where another user had claimed the id, of that one's.
func Run(ctx context.Context, cluster kafka.Config, c Command) ([]Answer, error) {
	if c.Tenant == "" || c.User == "" || len(c.User) > schemas.MaxIDBytes {
		return nil, fmt.Errorf("erase: a tenant and a user of 1 to %d bytes are needed", schemas.MaxIDBytes)
	}
	out, err := kafka.NewEmitter(cluster, "dwell-erase", topics.Identities)
	if err != nil {
		return nil, err
	}
	since := time.Now()
	request := processors.DeriveID("erase", c.Tenant, c.User, strconv.FormatInt(since.UnixNano(), 10))
	err = out.EmitSync(ctx, schemas.Key(c.Tenant, c.User), &schemas.Identity{
		Tenant: c.Tenant, User: c.User, Erase: &schemas.Erase{Request: request, Lift: c.Lift},
	})
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("erase %s of %s: %w", c.User, c.Tenant, err)
	}
	var all []Answer
	for user := c.User; user != ""; user = all[len(all)-1].Owner {
		a, err := await(ctx, cluster, schemas.Key(c.Tenant, user), request, since.Add(-time.Minute))
		if err != nil {
			return all, fmt.Errorf("erase %s of %s: %w", user, c.Tenant, err)
		}
		all = append(all, *a)
	}
	return all, nil
}

// await looks for the verdict of one row.
func await(ctx context.Context, cluster kafka.Config, key, request string, since time.Time) (*Answer, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a, err := look(ctx, cluster, key, request, since)
		switch {
		case ctx.Err() != nil:
			return nil, ErrUnanswered
		case a != nil || err != nil:
			return a, err
		}
		select {
		case <-ctx.Done():
			return nil, ErrUnanswered
		case <-tick.C:
		}
	}
}

func look(ctx context.Context, cluster kafka.Config, key, request string, since time.Time) (found *Answer, err error) {
	err = kafka.ReadRange(ctx, cluster, topics.Verdicts.Spec, kafka.Range{Key: key, Since: since}, func(e kafka.Entry) error {
		if e.Key != key || found != nil {
			return nil
		}
		v, err := topics.Verdicts.Codec.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("verdict at %s: %w", e.At, err)
		}
		if v.EventId != request || v.Verdict != engage.Erased && v.Verdict != engage.Lifted {
			return nil
		}
		found, err = answer(v)
		return err
	})
	return found, err
}

func answer(v *schemas.Verdict) (*Answer, error) {
	var d struct {
		Held, Pending int
		Claimed       []string
		Owner, Reason string
	}
	if err := json.Unmarshal(v.Detail, &d); err != nil {
		return nil, fmt.Errorf("detail of verdict %s: %w", v.Id, err)
	}
	return &Answer{
		User: v.User, Verdict: v.Verdict, Time: time.UnixMilli(v.DecidedMs).UTC(),
		Campaigns: d.Held, Pending: d.Pending, Claimed: d.Claimed, Owner: d.Owner, Reason: d.Reason,
	}, nil
}
