package recovery

import (
	"strings"
	"testing"

	"github.com/dwellhq/dwell/embedded"
)

func TestMeasureReadsEveryRowOnce(t *testing.T) {
	k, err := embedded.StartKafka(embedded.KafkaConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	all, err := Measure(t.Context(), Config{Broker: strings.Join(k.Addrs(), ","), Rows: 3000, RowBytes: 100, Partitions: 2, Say: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{3000, 0, 3000} {
		if all[i].Rows != want || all[i].Seconds <= 0 {
			t.Errorf("%+v, want %d rows", all[i], want)
		}
	}
	var b strings.Builder
	Print(&b, all)
	if !strings.Contains(b.String(), "store from before") {
		t.Errorf("%s", b.String())
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	err := Config{}.Validate()
	for _, part := range []string{"rows", "row bytes", "partitions"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
}
