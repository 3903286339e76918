// Package loop marks the messages that a processor sends to itself with the logical time at which they
// are to be stepped. Their timestamp is another thing: it is when they were written, so that retention
// does not take what an old log, read again, sends round.
package loop

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// timeHeader holds Unix milliseconds in decimal digits.
const timeHeader = "dwell-time-ms"

// Headers of a message that is to be stepped at a logical time, Unix ms; none for 0.
func Headers(timeMS int64) []kgo.RecordHeader {
	if timeMS == 0 {
		return nil
	}
	return []kgo.RecordHeader{{Key: timeHeader, Value: strconv.AppendInt(nil, timeMS, 10)}}
}

// TimeMS is the logical time of a record, Unix ms and not below 0: that in its header, or else, as for one
// that was sent by hand, its timestamp.
func TimeMS(rec *kgo.Record) int64 {
	for _, h := range rec.Headers {
		if h.Key != timeHeader {
			continue
		}
		if ms, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
			return max(ms, 0)
		}
	}
	return max(rec.Timestamp.UnixMilli(), 0)
}
