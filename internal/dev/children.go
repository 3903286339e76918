package dev

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dwellhq/dwell/internal/supervise"
)

func logOf(cfg Config, child string) string {
	return filepath.Join(cfg.Data, "logs", child+".log")
}

// children are the parts of a run, in the order in which they start.
func children(cfg Config, self, lib, secret string) []supervise.Spec {
	env := []string{
		"DWELL_ADMIN=127.0.0.1:0", "DWELL_INSTANCE=dev",
		"DWELL_BROKERS=" + strings.Join(cfg.brokers(), ","),
		"DWELL_PARTITIONS=" + strconv.Itoa(cfg.Partitions),
		"DWELL_CLICKHOUSE=" + cfg.clickHouse(),
		"DWELL_INTERNAL_SECRET=" + secret,
	}
	part := func(name string, after []string, args ...string) supervise.Spec {
		return supervise.Spec{Name: name, Path: self, Args: args, Env: env, After: after, Log: logOf(cfg, name), ReadyTimeout: 3 * time.Minute}
	}
	var all []supervise.Spec
	var kafka, clickhouse []string
	if cfg.Kafka != "outside" {
		args := []string{"embedded-kafka", "--dir", filepath.Join(cfg.Data, "kafka-"+cfg.Kafka), "--port", strconv.Itoa(cfg.KafkaPort)}
		if cfg.Kafka == "real" {
			args = append(args, "--real", "--cache", cfg.Cache)
		}
		s := part("kafka", nil, args...)
		s.StopTimeout = 30 * time.Second
		all, kafka = append(all, s), []string{"kafka"}
	}
	if cfg.ClickHouse == "" {
		s := part("clickhouse", nil, "embedded-clickhouse", "--lib", lib, "--dir", filepath.Join(cfg.Data, "clickhouse"), "--port", strconv.Itoa(cfg.ClickHousePort))
		s.StopTimeout = 30 * time.Second
		all, clickhouse = append(all, s), []string{"clickhouse"}
	}
	return append(all,
		part("sink", append(clickhouse, kafka...), "sink"),
		part("worker", kafka, "worker", "--data", filepath.Join(cfg.Data, "worker")),
		part("gateway", kafka, "gateway", "--listen", local(cfg.HTTPPort), "--demo"),
		part("engager", kafka, "engager"),
	)
}

// secretOf is the secret that this run's gateway and engager share, drawn once.
func secretOf(data string) (string, error) {
	path := filepath.Join(data, "secret")
	b, err := os.ReadFile(path)
	if err == nil && len(b) >= 64 {
		return string(b[:64]), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the secret of this run: %w", err)
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("draw a secret: %w", err)
	}
	s := hex.EncodeToString(raw)
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		return "", fmt.Errorf("keep the secret of this run: %w", err)
	}
	return s, nil
}
