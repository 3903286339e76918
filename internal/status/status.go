// Package status reads what running parts of dwell say of themselves and shows how their tables are: who
// has which partition, how far recovery and standbys are, which deadlines are late, how far what is followed
// is behind. What enters are
// addresses of admin listeners, those of workers or of `dwell dev`; what leaves is a table.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dwellhq/dwell/internal/supervise"
	"github.com/dwellhq/dwell/kafka/stream"
)

const (
	// askTime bounds one question.
	askTime = 5 * time.Second
	// maxBytes bounds one answer.
	maxBytes = 16 << 20
)

// Worker is what one worker said.
type Worker struct {
	// Address of its admin listener.
	Address string `json:"address"`
	// Processors by name.
	Processors map[string]stream.Status `json:"processors"`
}

// Ask asks every address. `dwell dev` names its children: those that run processors are asked. The
// workers that answered come back beside the error of those that did not.
func Ask(ctx context.Context, addresses []string) ([]Worker, error) {
	var all []Worker
	var faults []error
	for _, a := range addresses {
		found, err := ask(ctx, a)
		all, faults = append(all, found...), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil || len(all) > 0 {
		return all, err
	}
	return nil, fmt.Errorf("no worker at %v: name the admin addresses of workers", addresses)
}

func ask(ctx context.Context, address string) ([]Worker, error) {
	raw, err := get(ctx, address)
	if err != nil {
		return nil, err
	}
	var children []supervise.ChildState
	if json.Unmarshal(raw, &children) != nil {
		w, err := worker(address, raw)
		if err != nil {
			return nil, err
		}
		return []Worker{w}, nil
	}
	var all []Worker
	var faults []error
	for _, c := range children {
		at := c.Facts["admin"]
		if at == "" {
			continue
		}
		raw, err := get(ctx, at)
		faults = append(faults, err)
		if err != nil {
			continue
		}
		if w, err := worker(at, raw); err == nil { // else it is another role
			all = append(all, w)
		}
	}
	return all, errors.Join(faults...)
}

// worker decodes a worker's answer; that of another role is an error.
func worker(address string, raw []byte) (Worker, error) {
	w := Worker{Address: address}
	err := json.Unmarshal(raw, &w.Processors)
	for name, p := range w.Processors {
		if p.Processor != name {
			err = errors.New("it names no processors")
		}
	}
	if err == nil && len(w.Processors) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return w, fmt.Errorf("the status of %s is not that of a worker: %w", address, err)
	}
	return w, nil
}

func get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", address, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", address, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBytes))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", res.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its status: %w", address, err)
	}
	return raw, nil
}

// Print writes a line for each partition that a worker has or stands by for, then, where processors follow
// whole topics or other processors' tables, a line for each of those.
func Print(w io.Writer, all []Worker) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROCESSOR\tINSTANCE\tPARTITION\tSTATE\tRECOVERED\tTO GO\tROWS/S\tDEADLINE LAG")
	for _, wk := range all {
		for _, name := range slices.Sorted(maps.Keys(wk.Processors)) {
			printProcessor(t, name, wk.Processors[name])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printFollowed(w, all)
}

func printFollowed(w io.Writer, all []Worker) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "\nPROCESSOR\tINSTANCE\tFOLLOWS\tPARTITIONS\tRECORDS BEHIND\n"
	for _, wk := range all {
		for _, name := range slices.Sorted(maps.Keys(wk.Processors)) {
			for _, f := range wk.Processors[name].Followed {
				lag := "unknown"
				if f.Lag >= 0 {
					lag = fmt.Sprint(f.Lag)
				}
				fmt.Fprintf(t, "%s%s\t%s\t%s\t%d\t%s\n", head, name, wk.Processors[name].Instance, f.Topic, f.Partitions, lag)
				head = ""
			}
		}
	}
	return t.Flush()
}

func printProcessor(w io.Writer, name string, s stream.Status) {
	if len(s.Partitions)+len(s.Standbys) == 0 {
		state := "idle"
		if !s.Ready {
			state = "starting"
		}
		fmt.Fprintf(w, "%s\t%s\t-\t%s\t\t\t\t\n", name, s.Instance, state)
	}
	for _, p := range s.Partitions {
		state := "recovering"
		if p.Running {
			state = "running"
		}
		late := time.Duration(p.DeadlineLagMS) * time.Millisecond
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t%.0f\t%v\n", name, s.Instance, p.Number, state, p.Recovered, p.ToGo, p.RecoveredPerSecond, late)
	}
	for _, c := range s.Standbys {
		state, lag := "standby", fmt.Sprint(c.Lag)
		if c.Lag < 0 {
			state, lag = "standby, opening", ""
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t\t\n", name, s.Instance, c.Number, state, c.Rows, lag)
	}
}
