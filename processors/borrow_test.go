package processors_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// note is a record that lies in the memory of what it was decoded from.
type note struct{ text []byte }

// notes counts what it lends and gets back.
type notes struct{ made, again, back *int }

func (notes) Append(dst []byte, n *note) ([]byte, error) { return append(dst, n.text...), nil }

func (notes) Decode([]byte) (*note, error) { return nil, errors.New("the runtime decodes with a copy") }

func (c notes) Borrow(spare *note, b []byte) (*note, error) {
	if string(b) == "broken" {
		return nil, fmt.Errorf("%w: a broken note", schemas.ErrUndecodable)
	}
	if spare == nil {
		*c.made++
		spare = &note{}
	} else {
		*c.again++
	}
	if spare.text != nil {
		return nil, errors.New("the spare was not given back")
	}
	spare.text = b
	return spare, nil
}

func (c notes) Return(n *note) {
	*c.back++
	n.text = nil
}

func TestABorrowedRecordIsFilledAgain(t *testing.T) {
	c := notes{new(int), new(int), new(int)}
	var said []string
	d := processors.Define(processors.Processor[int]{Name: "notes", Inputs: []processors.Input[int]{
		processors.On(topics.Topic[*note]{Spec: &topics.Spec{Name: "notes"}, Codec: c}, func(_ *processors.Turn[int], n *note) {
			if string(n.text) == "panic" {
				panic("as asked")
			}
			said = append(said, string(n.text))
		}),
	}})
	call := &processors.Call{Key: "a/b"}
	step := func(text string) (panicked any, err error) {
		defer func() { panicked = recover() }()
		call.Value = []byte(text)
		return nil, d.Step(0, call)
	}
	for _, text := range []string{"one", "two", "broken", "three", "panic", "four"} {
		panicked, err := step(text)
		if errors.Is(err, schemas.ErrUndecodable) != (text == "broken") || (panicked != nil) != (text == "panic") || err != nil && text != "broken" {
			t.Errorf("%s: %v, %v", text, err, panicked)
		}
	}
	// A note that a panic or a fault left behind is not used again.
	if got, want := fmt.Sprint(said, *c.made, *c.again, *c.back), "[one two three four] 3 2 4"; got != want {
		t.Errorf("stepped, made, filled again, given back: %s, want %s", got, want)
	}
}
