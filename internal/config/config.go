// Package config fills a struct of settings from flags, environment and a YAML file, in that order
// of precedence. The struct's tags say what each setting is (see github.com/alecthomas/kong).
package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// File is embedded in a command line to give it --config.
type File struct {
	Config kong.ConfigFlag `help:"YAML file of settings: a flag's name without the dashes in front is its key." env:"DWELL_CONFIG" type:"existingfile"`
}

// Parser makes a command-line parser for the struct that cli points to.
func Parser(cli any, name, description string, more ...kong.Option) (*kong.Kong, error) {
	opts := append([]kong.Option{
		kong.Name(name), kong.Description(description),
		kong.Configuration(load), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.ShortUsageOnError(),
	}, more...)
	p, err := kong.New(cli, opts...)
	if err != nil {
		return nil, fmt.Errorf("settings of %s: %w", name, err)
	}
	return p, nil
}

// file is a parsed YAML file of settings.
type file map[string]any

func load(r io.Reader) (kong.Resolver, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the settings file: %w", err)
	}
	f := file{}
	if err := yaml.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("settings file: %w", err)
	}
	return f, nil
}

// Validate implements kong.Resolver: a key that no command has is a fault.
func (f file) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, n := range nodes(app.Node) {
		for _, flag := range n.Flags {
			known[flag.Name] = true
		}
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if !known[key] {
			faults = append(faults, fmt.Errorf("settings file: no setting is called %q; --help lists them", key))
		}
	}
	return errors.Join(faults...)
}

func nodes(n *kong.Node) []*kong.Node {
	all := []*kong.Node{n}
	for _, c := range n.Children {
		all = append(all, nodes(c)...)
	}
	return all
}

// Resolve implements kong.Resolver.
func (f file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := f[flag.Name]
	if !ok {
		return nil, nil
	}
	for _, env := range flag.Envs { // kong would let the file win
		if _, set := os.LookupEnv(env); set {
			return nil, nil
		}
	}
	if list, ok := v.([]any); ok {
		return list, nil
	}
	return fmt.Sprint(v), nil
}
