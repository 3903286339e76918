package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dwellhq/dwell/internal/config"
)

func TestTagsAndDefaultsAreTheSame(t *testing.T) {
	t.Setenv("DWELL_INTERNAL_SECRET", server)
	var got Config
	p, err := config.Parser(&got, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(nil); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.InternalSecret = server
	if got != want {
		t.Errorf("tags say  %+v\ndefaults  %+v", got, want)
	}
	if err := want.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.InternalListen, cfg.PushSecret = "nowhere", "0.0.0.0:81", "short"
	cfg.MaxEventBytes, cfg.BufferBytes, cfg.AckTimeout, cfg.Rate = 1<<30, 1, 0, -1
	cfg.Push.Queue = 0
	err := cfg.Validate()
	for _, want := range []string{"listen:", "node-url:", "internal-secret:", "push-secret:", "max-event-bytes:", "buffer-bytes:", "ack-timeout:", "rate", "push-queue:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %s in: %v", want, err)
		}
	}
	cfg = fast()
	cfg.InternalListen, cfg.NodeURL = ":81", "http://10.0.0.7:81"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestPushSecretComesFromItsFile(t *testing.T) {
	cfg := fast()
	cfg.PushSecret, cfg.PushSecretFile = "", filepath.Join(t.TempDir(), "secret")
	if _, err := cfg.pushSecret(); err == nil || !strings.Contains(err.Error(), "read the push secret") {
		t.Errorf("no file: %v", err)
	}
	for text, ok := range map[string]bool{signer + "\n": true, "short\n": false} {
		if err := os.WriteFile(cfg.PushSecretFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := cfg.pushSecret(); ok != (err == nil) || ok && string(b) != signer {
			t.Errorf("%q: %q, %v", text, b, err)
		}
	}
}
