// Package cart nudges a user who left a cart for an hour.
package cart

import (
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Event is one change to a user's cart.
type Event struct{ Name string }

// Events is keyed by user id.
var Events = topics.Stream[Event]("shop.cart.v1")

// Processor is what a worker runs.
var Processor = processors.Define(processors.Processor[struct{}]{
	Name: "cart",
	Inputs: []processors.Input[struct{}]{processors.On(Events, func(t *processors.Turn[struct{}], e Event) {
		t.WakeAt(t.Now.Add(time.Hour))
		if e.Name == "checkout" {
			t.Forget()
		}
	})},
	Wake: func(t *processors.Turn[struct{}]) { t.Act("abandoned", "push"); t.Forget() },
})
