// Package stock reserves products for orders. It joins the customer, looks up the price, reaches the
// product through a loop, and lets a reservation run out by a timer.
package stock

import (
	"time"

	"github.com/dwellhq/dwell/processors"
	"github.com/dwellhq/dwell/topics"
)

// Order asks for a product, or pays for the one that is reserved. It is keyed by the customer.
type Order struct {
	Product string `json:"product"`
	Paid    bool   `json:"paid"`
}

// Delivery adds to a product's stock. It is keyed by the product.
type Delivery struct {
	Count int `json:"count"`
}

// Invoice is keyed by the customer.
type Invoice struct {
	Name, Product string
	Cents         int
}

// Customer is a row of the processor customers, keyed as orders are.
type Customer struct{ Name string }

// Price is a row of the processor prices, keyed by the product.
type Price struct{ Cents int }

// What the processor reads and writes.
var (
	Orders     = topics.Stream[Order]("shop.orders.v1")
	Deliveries = topics.Stream[Delivery]("shop.deliveries.v1")
	Invoices   = topics.Stream[Invoice]("shop.invoices.v1")
	Customers  = &processors.Table[Customer]{Processor: "customers"}
	Prices     = &processors.Table[Price]{Processor: "prices"}
	messages   = topics.Loop[message]("stock")
)

// message goes between the rows of a customer and a product.
type message struct{ Do, Customer, Product string }

// Row is a product's, which counts, or a customer's with what was ordered.
type Row struct {
	Left     int    `json:",omitempty"`
	Product  string `json:",omitempty"`
	Reserved bool   `json:",omitempty"`
}

type turn = processors.Turn[Row]

// Hold is how long a product stays reserved without being paid for.
const Hold = 15 * time.Minute

// Processor is what a worker runs.
var Processor = processors.Define(processors.Processor[Row]{
	Name:    "stock",
	Inputs:  []processors.Input[Row]{processors.On(Orders, onOrder), processors.On(Deliveries, onDelivery), processors.On(messages, onMessage)},
	Outputs: []*topics.Spec{Invoices.Spec},
	Joins:   []processors.AnyTable{Customers},
	Lookups: []processors.AnyTable{Prices},
	Wake:    onHoldOver,
})

func onDelivery(t *turn, d Delivery) { t.State.Left += d.Count }

func onHoldOver(t *turn) {
	t.Act("reservation-over", "push")
	processors.Loop(t, messages, t.State.Product, message{Do: "put back"})
	t.Forget()
}

func onOrder(t *turn, o Order) {
	customer, row := processors.Join(t, Customers), t.State
	switch {
	case customer == nil: // nobody we know
		t.Same()
	case o.Paid && row.Reserved:
		if p := processors.Lookup(t, Prices, row.Product); p != nil {
			processors.Emit(t, Invoices, t.Key, Invoice{Name: customer.Name, Product: row.Product, Cents: p.Cents})
		}
		t.Forget()
	case o.Paid || processors.Lookup(t, Prices, o.Product) == nil: // nothing to pay, or nothing we sell
		t.Same()
	default:
		if row.Reserved {
			processors.Loop(t, messages, row.Product, message{Do: "put back"})
		}
		*row = Row{Product: o.Product}
		t.WakeAt(time.Time{})
		processors.Loop(t, messages, o.Product, message{"take", t.Key, o.Product})
	}
}

func onMessage(t *turn, m message) {
	row := t.State
	switch m.Do {
	case "take": // in the product's row
		m.Do = "sold out"
		if row.Left > 0 {
			row.Left--
			m.Do = "taken"
		}
		processors.Loop(t, messages, m.Customer, m)
	case "put back":
		row.Left++
	case "taken": // in the customer's row
		if row.Reserved || row.Product != m.Product { // other orders came meanwhile
			processors.Loop(t, messages, m.Product, message{Do: "put back"})
			t.Same()
			return
		}
		row.Reserved = true
		t.WakeAt(t.Now.Add(Hold))
	case "sold out":
		if row.Product == m.Product && !row.Reserved {
			t.Act("sold-out", "push")
			t.Forget()
			return
		}
		t.Same()
	}
}
