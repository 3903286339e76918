// Package engage is the Decider: it steps every event of a user once, in one row, and decides what
// the user should see next.
//
// Events, deliveries and campaign declarations go in. Out come, in this order for an event: its
// fact, one verdict for each thing that was decided and why, and an action for each response that
// a channel has to send.
package engage

import (
	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/schemas"
	"github.com/dwellhq/dwell/topics"
)

// Processor is what a worker runs.
var Processor = processors.Define(processors.Processor[schemas.EngageRow]{
	Name: "engage",
	Inputs: []processors.Input[schemas.EngageRow]{
		processors.On(topics.Topic[*arrival]{Spec: topics.Events.Spec, Codec: arrivals{}}, onEvent),
		processors.On(topics.Deliveries, onDelivery),
		processors.On(topics.Identities, onIdentity),
		processors.On(topics.Members, onMember),
	},
	Outputs:  []*topics.Spec{topics.Facts.Spec, topics.Verdicts.Spec, topics.Traits.Spec, topics.Erasures.Spec},
	Whole:    []processors.AnyWhole{declared},
	Wake:     onWake,
	Row:      rowCodec{},
	Journal:  true,
	Counters: []*processors.Counter{counted, spoken},
	// A row holds some 20 bytes for each campaign that read an event of the user, 60 in a hand-over,
	// besides what maxEntryBytes bounds; brokers take 1 MiB unless told otherwise.
	MaxRowBytes: 768 << 10,
})

// declared holds the campaigns of every tenant.
var declared = &processors.Whole[*schemas.Declaration, *Catalog]{Topic: topics.Declarations, Fold: fold}

// turn is one step of one user.
type turn = processors.Turn[schemas.EngageRow]
