package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const head = `{"Action":"output","Package":"p","Test":"T","Output":"why\n"}` + "\n"
	for name, c := range map[string]struct {
		in, want string
		bad      bool
	}{
		"passes":         {head + `{"Action":"pass","Package":"p","Test":"T"}`, "1 passed, 0 failed, 0 skipped", false},
		"fails":          {head + `{"Action":"fail","Package":"p","Test":"T"}`, "FAILED p T\nwhy\n", true},
		"may be skipped": {head + `{"Action":"skip","Package":"p","Test":"T"}` + "\n" + `{"Action":"pass","Package":"p","Test":"U"}`, "skipped p T\nwhy\n", false},
		"ran nothing":    {"", "0 passed", true},
		"does not build": {"p.go:1: syntax error", "syntax error", true},
		"package fails":  {`{"Action":"pass","Package":"p","Test":"T"}` + "\n" + `{"Action":"fail","Package":"p"}`, "fail\tp", true},
	} {
		r := report{may: []string{"T"}, output: map[[2]string]*strings.Builder{}}
		var out strings.Builder
		if err := r.read(strings.NewReader(c.in), &out); err != nil || r.bad != c.bad || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v %v\n%s", name, err, r.bad, &out)
		}
	}
	r := report{output: map[[2]string]*strings.Builder{}}
	var out strings.Builder
	if err := r.read(strings.NewReader(`{"Action":"skip","Package":"p","Test":"T"}`+"\n"+`{"Action":"pass","Package":"p","Test":"U"}`), &out); err != nil || !r.bad {
		t.Errorf("a skip that CI must not take passed: %s", &out)
	}
}
