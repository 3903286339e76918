package dispatch

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestFlagsDefaultToTheDefaults(t *testing.T) {
	var got Config
	p, err := kong.New(&got)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse([]string{"--internal-secret=x"}); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Push.InternalSecret = "x"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags give\n%+v\nDefaultConfig\n%+v", got, want)
	}
}

func TestConfigurationFaultsAreAllNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Kafka.Brokers, cfg.Concurrency, cfg.Group = nil, 0, ""
	cfg.Push.Nodes = []string{"http://x"}
	_, err := New(cfg, Deps{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"brokers", "concurrency", "group", "DWELL_INTERNAL_SECRET", "http://x"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
}
