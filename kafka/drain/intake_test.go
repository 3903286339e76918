package drain

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestIntakePausesAboveItsLimitAndResumesBelowHalf(t *testing.T) {
	var asked []bool
	in := newIntake(3000, func(pause bool) { asked = append(asked, pause) })
	record := &kgo.Record{Value: make([]byte, 800)} // 1,000 with its frame
	in.push([]*kgo.Record{record, record, record})
	if len(asked) != 0 {
		t.Errorf("at the limit it asked %v", asked)
	}
	in.push([]*kgo.Record{record})
	in.push([]*kgo.Record{record}) // what was already on its way
	if fmt.Sprint(asked) != "[true]" {
		t.Errorf("above the limit it asked %v", asked)
	}
	for range 3 {
		in.pop()
	}
	if fmt.Sprint(asked) != "[true]" {
		t.Errorf("above half it asked %v", asked)
	}
	in.pop()
	if fmt.Sprint(asked) != "[true false]" {
		t.Errorf("below half it asked %v", asked)
	}
	in.close(true)
	in.push([]*kgo.Record{record})
	if in.pop() != nil || fmt.Sprint(asked) != "[true false true]" {
		t.Errorf("after close it asked %v", asked)
	}
}
