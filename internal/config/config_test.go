package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type settings struct {
	File
	Brokers []string      `env:"TEST_BROKERS" default:"none:1"`
	Every   time.Duration `env:"TEST_EVERY" default:"1s"`
	On      bool
	Size    int `default:"7"`
}

func parse(t *testing.T, yaml string, args ...string) (settings, error) {
	t.Helper()
	var s settings
	if yaml != "" {
		path := filepath.Join(t.TempDir(), "dwell.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	p, err := Parser(&s, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(args)
	return s, err
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	const yaml = "brokers: [file:1, file:2]\nevery: 2m\non: true\nsize: 9\n"
	s, err := parse(t, yaml)
	if err != nil || strings.Join(s.Brokers, ",") != "file:1,file:2" || s.Every != 2*time.Minute || !s.On || s.Size != 9 {
		t.Fatalf("file: %+v, %v", s, err)
	}
	t.Setenv("TEST_EVERY", "3m")
	t.Setenv("TEST_BROKERS", "env:1")
	if s, err = parse(t, yaml); err != nil || s.Every != 3*time.Minute || s.Brokers[0] != "env:1" || s.Size != 9 {
		t.Fatalf("environment: %+v, %v", s, err)
	}
	if s, err = parse(t, yaml, "--every", "4m", "--size", "1"); err != nil || s.Every != 4*time.Minute || s.Size != 1 {
		t.Fatalf("flag: %+v, %v", s, err)
	}
}

func TestUnknownSettingIsNamed(t *testing.T) {
	if _, err := parse(t, "brokres: [a:1]\n"); err == nil || !strings.Contains(err.Error(), `"brokres"`) {
		t.Fatalf("err = %v", err)
	}
}
