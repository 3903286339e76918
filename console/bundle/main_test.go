package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// most is what the tag may weigh on the wire: pages carry it on every visit.
const most = 6000

func TestCommittedBundleIsWhatTheSourcesGive(t *testing.T) {
	fresh, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join("..", "dist", "dwell.js"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, committed) {
		t.Error("console/dist/dwell.js is not what console/web/tag gives; run: go run ./console/bundle")
	}
}

func TestTagStaysSmall(t *testing.T) {
	script, err := bundle("..")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(script); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d gzipped", len(script), b.Len())
	if b.Len() >= most {
		t.Errorf("the tag weighs %d bytes gzipped, want less than %d", b.Len(), most)
	}
}

func TestWriteReplacesTheBundle(t *testing.T) {
	dir := console(t, map[string]string{
		"main.ts":   `import css from './card.css'; declare const x: any; x(css as string);`,
		"card.css":  "a {\n  color: red;\n}\n",
		"unused.ts": `syntax error`,
	})
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "dist", "dwell.js"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), `"a{color:red}"`) {
		t.Errorf("the style sheet is not in the script, minified:\n%s", got)
	}
}

func TestEveryFaultOfTheSourcesIsReported(t *testing.T) {
	dir := console(t, map[string]string{
		"main.ts": "import './gone'\nimport './lost'\n",
	})
	err := write(dir)
	if err == nil {
		t.Fatal("sources with two faults gave a bundle")
	}
	for _, want := range []string{"tag/main.ts:1: error", "./gone", "tag/main.ts:2: error", "./lost"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "dist", "dwell.js")); !os.IsNotExist(err) {
		t.Errorf("a bundle was written in spite of the faults: %v", err)
	}
}

// console lays out a console's folder with these tag sources.
func console(t *testing.T, sources map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"dist", filepath.Join("web", "tag")} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range sources {
		if err := os.WriteFile(filepath.Join(dir, "web", "tag", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
