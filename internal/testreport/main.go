// Command testreport reads `go test -json` from standard input and prints what CI must know: the
// output of what failed, each skip with its reason, each package's time, and the sums. It exits with
// 1 when something failed, or was skipped that is not among its arguments (parts of test names that
// may be skipped).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// report is what was heard so far.
type report struct {
	may                     []string
	output                  map[[2]string]*strings.Builder
	passed, failed, skipped int
	bad                     bool
}

func main() {
	r := report{may: os.Args[1:], output: map[[2]string]*strings.Builder{}}
	if err := r.read(os.Stdin, os.Stdout); err != nil {
		fmt.Println("testreport:", err)
		os.Exit(1)
	}
	if r.bad {
		os.Exit(1)
	}
}

// read takes events until the end of in and prints to out.
func (r *report) read(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // what the compiler says
			r.bad = true
			continue
		}
		r.take(e, out)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	r.bad = r.bad || r.failed > 0 || r.passed == 0
	return lines.Err()
}

func (r *report) take(e event, out io.Writer) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output", "build-output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
		return
	case "build-fail":
		r.bad = true
	case "pass", "fail", "skip":
		r.end(e, out)
	default:
		return
	}
	if text := r.output[key]; text != nil && strings.HasSuffix(e.Action, "fail") {
		fmt.Fprint(out, text)
	}
	delete(r.output, key)
}

// end is the end of a test, or of a package.
func (r *report) end(e event, out io.Writer) {
	if e.Test == "" {
		if e.Action != "skip" {
			fmt.Fprintf(out, "%s\t%s\t%.1fs\n", e.Action, e.Package, e.Elapsed)
		}
		r.bad = r.bad || e.Action == "fail"
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Fprintf(out, "FAILED %s %s\n", e.Package, e.Test)
	case "skip":
		r.skipped++
		fmt.Fprintf(out, "skipped %s %s\n%s", e.Package, e.Test, r.output[[2]string{e.Package, e.Test}])
		if !slices.ContainsFunc(r.may, func(s string) bool { return strings.Contains(e.Test, s) }) {
			fmt.Fprintf(out, "FAILED %s %s: CI must not skip it\n", e.Package, e.Test)
			r.bad = true
		}
	}
}
