package rehearse

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestAFileOfEventsIsRehearsedWithItsClaims(t *testing.T) {
	var decisions bytes.Buffer
	r, err := New("demo", parse(t, strings.Replace(draft, "times: 2", "times: 3", 1)), &decisions)
	if err != nil {
		t.Fatal(err)
	}
	log := ""
	for i, who := range []string{
		`"type":"track","event":"bet","anonymousId":"phone"`, `"type":"track","event":"bet","anonymousId":"phone"`,
		`"type":"identify","anonymousId":"phone","userId":"ann"`,
		`"type":"track","event":"bet","anonymousId":"phone"`, // follows the pointer
		`"type":"track","event":"bet","userId":"bob"`,
	} {
		log += fmt.Sprintf(`{%s,"messageId":"m%d","timestamp":"2026-11-01T10:00:0%dZ"}`+"\n", who, i, i)
	}
	rep, err := r.File(strings.NewReader(log), 8)
	if err != nil {
		t.Fatal(err)
	}
	c := rep.Campaigns[0]
	if s := c.Samples["SENT"]; c.Matches != 1 || len(s) != 1 || s[0].User != "ann" || strings.Join(s[0].EventIDs, " ") != "m0 m1 m3" {
		t.Errorf("%+v", c)
	}
	if rep.Events != 5 || rep.Counted != 5 || rep.Duplicates+rep.Invalid != 0 {
		t.Errorf("%+v", rep)
	}
}
