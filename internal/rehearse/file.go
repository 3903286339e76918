package rehearse

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dwellhq/dwell/kafka"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Record is one record of topics.Events.
type Record struct {
	Key string
	At  schemas.Coordinates
	// MS is the record's time, Unix milliseconds.
	MS    int64
	Event *schemas.Event
}

// Lines reads events from NDJSON, plain or gzip: one call in the Segment shape a line, as SDKs send
// and warehouses export it. The record's time is receivedAt, where the line has it, else timestamp,
// else originalTimestamp, else that of the line before; the event's time is timestamp, else
// originalTimestamp, else the record's. Coordinates are those that the lines would have had in a topic
// of so many partitions.
type Lines struct {
	// Tenant of all events.
	Tenant string
	// Partitions of the topic, at least 1.
	Partitions int32

	next map[int32]int64
	last int64
}

// Bad is a line that is no event.
type Bad struct {
	Line int64  `json:"line"`
	Why  string `json:"why"`
}

// line is a call with the times that exports add.
type line struct {
	schemas.Segment
	ReceivedAt        string `json:"receivedAt"`
	OriginalTimestamp string `json:"originalTimestamp"`
}

// Read hands every event to each, in order, and every line that is none to bad. An error of each, or
// of r, ends it.
func (l *Lines) Read(r io.Reader, each func(Record) error, bad func(Bad)) error {
	in, err := unpack(r)
	if err != nil {
		return err
	}
	l.next = map[int32]int64{}
	for n := int64(1); ; n++ {
		text, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		switch {
		case errors.Is(err, errLong):
			bad(Bad{n, err.Error()})
			continue
		case err != nil:
			return fmt.Errorf("line %d: %w", n, err)
		case len(bytes.TrimSpace(text)) == 0:
			continue
		}
		rec, err := l.record(text)
		if err != nil {
			bad(Bad{n, err.Error()})
			continue
		}
		if err := each(rec); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

// record checks one line.
func (l *Lines) record(text []byte) (Record, error) {
	var in line
	if err := json.Unmarshal(text, &in); err != nil {
		return Record{}, fmt.Errorf("is no JSON object of an event: %w", err)
	}
	if in.Timestamp == "" {
		in.Timestamp = in.OriginalTimestamp
	}
	ms, err := recordTime(in, l.last)
	if err != nil {
		return Record{}, err
	}
	e, err := in.Record(l.Tenant, ms)
	if err != nil {
		return Record{}, err
	}
	l.last = ms
	key := e.Key()
	at := schemas.Coordinates{Topic: topics.Events.Name, Partition: kafka.PartitionOf(key, l.Partitions)}
	at.Offset = l.next[at.Partition]
	l.next[at.Partition]++
	return Record{key, at, ms, e}, nil
}

// recordTime is when the line's record would have been written.
func recordTime(in line, last int64) (int64, error) {
	for _, f := range []struct{ name, value string }{{"receivedAt", in.ReceivedAt}, {"timestamp", in.Timestamp}} {
		if f.value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, f.value)
		if err != nil {
			return 0, fmt.Errorf("%s: %q is no RFC 3339 time, such as 2026-11-22T17:00:00.000Z", f.name, f.value)
		}
		return max(at.UnixMilli(), 0), nil
	}
	if last == 0 {
		return 0, errors.New("receivedAt, timestamp: the first event needs one of them; later ones go on at its time")
	}
	return last, nil
}

func unpack(r io.Reader) (*bufio.Reader, error) {
	raw := bufio.NewReaderSize(r, 1<<20)
	magic, err := raw.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	z, err := gzip.NewReader(raw)
	if err != nil {
		return nil, fmt.Errorf("read events: gzip: %w", err)
	}
	return bufio.NewReaderSize(z, 1<<20), nil
}

// errLong says that a line is no event for its length alone.
var errLong = fmt.Errorf("has more than %d bytes, which no event may have", schemas.MaxEventBytes)

// readLine returns the next line, good until the one after; a long one is passed over.
func readLine(in *bufio.Reader) ([]byte, error) {
	text, more, err := in.ReadLine()
	if err != nil {
		return nil, err
	}
	long := more || len(text) > schemas.MaxEventBytes
	for more && err == nil {
		_, more, err = in.ReadLine()
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case long:
		return nil, errLong
	}
	return text, nil
}
