package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dwellhq/dwell/kafka"
)

type dlqCmd struct {
	Ls     dlqLsCmd     `cmd:"" help:"List dead letters: offset, time, where the record lies, who rejected it, why; one line each, with tabs between."`
	Show   dlqShowCmd   `cmd:"" help:"Show all of a dead letter."`
	Replay dlqReplayCmd `cmd:"" help:"Send rejected records to their topics once more."`
}

// letterFilter picks dead letters.
type letterFilter struct {
	By    string        `help:"Only those that this processor, sink or replay rejected."`
	Topic string        `help:"Only records of this topic (file:NAME for the lines of a replayed file)."`
	Since time.Duration `help:"Only those of so long ago or less, such as 1h30m."`
}

func (f letterFilter) picks(now time.Time) func(kafka.Letter) bool {
	return func(l kafka.Letter) bool {
		return (f.By == "" || l.Record.By == f.By) && (f.Topic == "" || l.Record.Topic == f.Topic) &&
			(f.Since == 0 || !l.Time.Before(now.Add(-f.Since)))
	}
}

type dlqLsCmd struct {
	kafka.Config `embed:""`
	letterFilter `embed:""`
}

// Run implements the command.
func (c *dlqLsCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return listLetters(ctx, os.Stdout, c.Config, c.picks(time.Now()))
}

func listLetters(ctx context.Context, w io.Writer, cfg kafka.Config, pick func(kafka.Letter) bool) error {
	return kafka.DeadLetters(ctx, cfg, func(l kafka.Letter) error {
		if !pick(l) {
			return nil
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", l.At.Offset, l.Time.UTC().Format(time.RFC3339), plain(l.Where()), plain(l.Record.By), plain(firstLine(l.Record.Error)))
		return err
	})
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// plain takes out what a terminal would obey, or a reader of columns stumble over: what was rejected
// came from outside.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

type dlqShowCmd struct {
	kafka.Config `embed:""`
	Offset       int64 `arg:"" help:"Offset, as dwell dlq ls shows it."`
}

// Run implements the command.
func (c *dlqShowCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	return showLetter(ctx, os.Stdout, c.Config, c.Offset)
}

func showLetter(ctx context.Context, w io.Writer, cfg kafka.Config, offset int64) error {
	found := errors.New("found")
	err := kafka.DeadLetters(ctx, cfg, func(l kafka.Letter) error {
		if l.At.Offset != offset {
			return nil
		}
		if err := printLetter(w, l); err != nil {
			return err
		}
		return found
	})
	switch {
	case errors.Is(err, found):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("no dead letter has offset %d; dwell dlq ls shows what there is", offset)
}

func printLetter(w io.Writer, l kafka.Letter) error {
	d := l.Record
	var b bytes.Buffer
	fmt.Fprintf(&b, "letter    %s, written %s\n", l.At, l.Time.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(&b, "record    %s\n", plain(l.Where()))
	if d.TimeMs != 0 {
		fmt.Fprintf(&b, "time      %s\n", time.UnixMilli(d.TimeMs).UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(&b, "by        %s\n", plain(d.By))
	if why := kafka.Replayable(d); why != nil {
		fmt.Fprintf(&b, "replay    no: %s\n", plain(why.Error()))
	} else {
		fmt.Fprintf(&b, "replay    dwell dlq replay %d\n", l.At.Offset)
	}
	section(&b, "error", []byte(d.Error))
	section(&b, "key", d.Key)
	section(&b, "value", d.Value)
	if d.Stack != "" {
		section(&b, "stack", []byte(d.Stack))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// section shows text as it is, and anything else in hex.
func section(b *bytes.Buffer, name string, v []byte) {
	switch {
	case len(v) == 0:
		fmt.Fprintf(b, "\n%s: none\n", name)
	case isText(v):
		fmt.Fprintf(b, "\n%s, %d bytes:\n%s\n", name, len(v), bytes.TrimSuffix(v, []byte("\n")))
	default:
		fmt.Fprintf(b, "\n%s, %d bytes in hex:\n%s", name, len(v), hex.Dump(v))
	}
}

// isText: UTF-8 without control characters, which a terminal would obey.
func isText(v []byte) bool {
	return utf8.Valid(v) && !bytes.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' })
}

type dlqReplayCmd struct {
	kafka.Config `embed:""`
	letterFilter `embed:""`
	Offsets      []int64 `arg:"" optional:"" help:"Offsets, as dwell dlq ls shows them."`
	All          bool    `help:"All letters that --by, --topic and --since pick."`
	DryRun       bool    `help:"Only show what would be sent."`
}

// Help says what a replay means.
func (c *dlqReplayCmd) Help() string {
	return `The record goes to the topic and partition it came from, with the same key and value and the header dwell-replay=TOPIC/PARTITION/OFFSET, which names the rejected one.

Nothing is marked: who replays twice has the record in its topic twice. That is safe where processors recognise an event by its id, as dwell's own do and yours must; an event without an id counts each time it is sent. Within one run, equal records are sent once.

Lines of files, and records that dwell itself wrote, are not replayed; each is named with what to do instead.`
}

// Run implements the command.
func (c *dlqReplayCmd) Run() error {
	ctx, stop := interruptible()
	defer stop()
	if c.All == (len(c.Offsets) > 0) {
		return errors.New("name offsets, or give --all")
	}
	pick := c.picks(time.Now())
	if !c.All {
		if c.letterFilter != (letterFilter{}) {
			return errors.New("--by, --topic and --since go with --all")
		}
		return replayOffsets(ctx, os.Stdout, c.Config, c.DryRun, c.Offsets)
	}
	_, err := replayLetters(ctx, os.Stdout, c.Config, c.DryRun, pick)
	return err
}

// replayOffsets replays the letters named, and fails when one of them is not there or cannot be replayed.
func replayOffsets(ctx context.Context, w io.Writer, cfg kafka.Config, dry bool, offsets []int64) error {
	missing := map[int64]bool{}
	for _, o := range offsets {
		missing[o] = true
	}
	wanted := maps.Clone(missing)
	n, err := replayLetters(ctx, w, cfg, dry, func(l kafka.Letter) bool {
		delete(missing, l.At.Offset)
		return wanted[l.At.Offset]
	})
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return fmt.Errorf("no dead letter has offset %v; dwell dlq ls shows what there is", slices.Sorted(maps.Keys(missing)))
	case n.Refused > 0:
		return fmt.Errorf("%d of %d letters cannot be replayed", n.Refused, len(wanted))
	}
	return nil
}

func replayLetters(ctx context.Context, w io.Writer, cfg kafka.Config, dry bool, pick func(kafka.Letter) bool) (kafka.Replayed, error) {
	n, err := kafka.Replay(ctx, cfg, dry, pick, func(l kafka.Letter, why error) {
		to := "to " + l.Record.Topic
		if why != nil {
			to = "not sent: " + why.Error()
		}
		fmt.Fprintf(w, "%d\t%s\t%s\n", l.At.Offset, plain(l.Where()), plain(to))
	})
	verb := "sent"
	if dry {
		verb = "would be sent"
	}
	fmt.Fprintf(w, "%d %s, %d cannot be replayed, %d equal to one before\n", n.Sent, verb, n.Refused, n.Same)
	return n, err
}
