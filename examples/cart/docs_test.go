package cart

import (
	"os"
	"strings"
	"testing"
)

// TestDocsShowThisCode keeps the guide's code what is compiled and tested here.
func TestDocsShowThisCode(t *testing.T) {
	doc, err := os.ReadFile("../../docs/processor.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, from := range map[string]string{"cart.go": "// Event is one change", "cart_test.go": "func TestAbandoned"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, code, found := strings.Cut(string(b), from)
		if !found || !strings.Contains(string(doc), "```go\n"+from+code+"```") {
			t.Errorf("docs/processor.md does not show %s from %q on, to the letter", file, from)
		}
	}
}
