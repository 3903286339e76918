package processors_test

import (
	"fmt"
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Visit is a page that a user opened.
type Visit struct{ Page string }

// Streak is a user's row.
type Streak struct{ Pages int }

// A processor that greets a user at the third page, and forgets who was away for an hour.
func ExampleDefine() {
	visits := topics.Stream[Visit]("shop.visits.v1")
	greeter := processors.Define(processors.Processor[Streak]{
		Name: "greeter",
		Inputs: []processors.Input[Streak]{processors.On(visits, func(t *processors.Turn[Streak], _ Visit) {
			if t.State.Pages++; t.State.Pages == 3 {
				t.Act("welcome", "popup")
			}
			t.WakeAt(t.Now.Add(time.Hour))
		})},
		Wake: func(t *processors.Turn[Streak]) { t.Forget() },
	})
	fmt.Println(greeter.Name, "reads", greeter.Inputs[0].Name, "and writes", greeter.Outputs[0].Name)
	// Output: greeter reads shop.visits.v1 and writes dwell.actions.v1
}
