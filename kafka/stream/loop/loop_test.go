package loop

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTimeIsTheHeadersOrElseTheTimestamp(t *testing.T) {
	stamp := time.UnixMilli(5000)
	for name, c := range map[string]struct {
		headers []kgo.RecordHeader
		at      time.Time
		want    int64
	}{
		"sent round":      {Headers(1234), stamp, 1234},
		"sent by hand":    {nil, stamp, 5000},
		"another header":  {[]kgo.RecordHeader{{Key: "trace", Value: []byte("7")}}, stamp, 5000},
		"not a number":    {[]kgo.RecordHeader{{Key: timeHeader, Value: []byte("x")}}, stamp, 5000},
		"before the time": {[]kgo.RecordHeader{{Key: timeHeader, Value: []byte("-1")}}, stamp, 0},
		"no time at all":  {nil, time.Time{}, 0},
	} {
		if got := TimeMS(&kgo.Record{Headers: c.headers, Timestamp: c.at}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if Headers(0) != nil {
		t.Error("other records get a header, too")
	}
}
