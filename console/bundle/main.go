// Command bundle makes console/dist/dwell.js, the browser tag as it is served, from its TypeScript
// sources in console/web/tag. Run it from the module's root: go run ./console/bundle
// Its one argument, if any, is the console's folder; without it: console.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	dir := "console"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := write(dir); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// write replaces dist/dwell.js below dir, the console's folder, by what the sources give.
func write(dir string) error {
	script, err := bundle(dir)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "dist", "dwell.js")
	if err := os.WriteFile(file, script, 0o644); err != nil { //nolint:gosec // it is served to everybody
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// bundle returns the tag's sources below dir as one minified script, the same bytes on every
// machine. All of esbuild's complaints are reported, warnings too.
func bundle(dir string) ([]byte, error) {
	root, err := filepath.Abs(filepath.Join(dir, "web"))
	if err != nil {
		return nil, fmt.Errorf("find the sources below %s: %w", dir, err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     root,
		EntryPoints:       []string{"tag/main.ts"},
		Bundle:            true,
		Format:            api.FormatIIFE,
		Target:            api.ES2019,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Plugins:           []api.Plugin{styles()},
	})
	if err := errors.Join(faults("error", result.Errors), faults("warning", result.Warnings)); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", root, err)
	}
	return result.OutputFiles[0].Contents, nil
}

// styles lets a script import a style sheet as its minified text.
func styles() api.Plugin {
	load := func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		source, err := os.ReadFile(a.Path)
		if err != nil {
			return api.OnLoadResult{}, fmt.Errorf("read a style sheet: %w", err)
		}
		small := api.Transform(string(source), api.TransformOptions{
			Loader: api.LoaderCSS, MinifyWhitespace: true, MinifySyntax: true, Sourcefile: a.Path,
		})
		text := strings.TrimSpace(string(small.Code))
		return api.OnLoadResult{Contents: &text, Loader: api.LoaderText, Errors: small.Errors, Warnings: small.Warnings}, nil
	}
	return api.Plugin{Name: "styles", Setup: func(b api.PluginBuild) {
		b.OnLoad(api.OnLoadOptions{Filter: `\.css$`}, load)
	}}
}

// faults turns esbuild's messages into one error, nil for none.
func faults(kind string, messages []api.Message) error {
	var all []error
	for _, m := range messages {
		at := ""
		if m.Location != nil {
			at = fmt.Sprintf("%s:%d: ", m.Location.File, m.Location.Line)
		}
		all = append(all, fmt.Errorf("%s%s: %s", at, kind, m.Text))
	}
	return errors.Join(all...)
}
