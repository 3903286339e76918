// Package examples_test keeps the guides' code what is compiled and tested here.
package examples_test

import (
	"os"
	"strings"
	"testing"
)

func TestGuidesShowTheExamples(t *testing.T) {
	for _, c := range []struct{ guide, file, from string }{
		{"processor.md", "cart/cart.go", "// Event is one change"},
		{"processor.md", "cart/cart_test.go", "func TestAbandoned"},
		{"joins.md", "stock/stock.go", "// Order asks for"},
		{"joins.md", "stock/stock_test.go", "const pen"},
	} {
		doc, err := os.ReadFile("../docs/" + c.guide)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		_, code, found := strings.Cut(string(b), c.from)
		if !found || !strings.Contains(string(doc), "```go\n"+c.from+code+"```") {
			t.Errorf("docs/%s does not show examples/%s from %q on, to the letter", c.guide, c.file, c.from)
		}
	}
}

// TestCartIsShort: the first processor, with its schema, topic and test, is less than 40 lines.
func TestCartIsShort(t *testing.T) {
	lines := 0
	for _, file := range []string{"cart/cart.go", "cart/cart_test.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(b), "\n")
	}
	if lines >= 40 {
		t.Errorf("%d lines", lines)
	}
}
