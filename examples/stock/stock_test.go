package stock

import (
	"strings"
	"testing"
	"time"

	"github.com/dwellhq/dwell/processors/proctest"
)

const pen, ann, bob = "acme/product:pen", "acme/ann", "acme/bob"

// shop has one pen, and knows ann and bob.
func shop(t *testing.T) *proctest.Run {
	r := proctest.New(t, Processor)
	proctest.Put(r, Prices, pen, Price{Cents: 250})
	proctest.Put(r, Customers, ann, Customer{Name: "Ann"})
	proctest.Put(r, Customers, bob, Customer{Name: "Bob"})
	return proctest.Send(r, Deliveries, pen, Delivery{Count: 1})
}

func left(r *proctest.Run) int { return strings.Count(string(r.Row(pen)), `"Left":1`) }

func TestWhoPaysInTimeGetsAnInvoice(t *testing.T) {
	r := shop(t)
	proctest.Send(r, Orders, ann, Order{Product: pen})
	proctest.Send(r, Orders, bob, Order{Product: pen}).WantActions("sold-out")
	r.Advance(Hold - time.Second)
	proctest.Send(r, Orders, ann, Order{Paid: true})
	if got := proctest.Take(r, Invoices); len(got) != 1 || got[0] != (Invoice{Name: "Ann", Product: pen, Cents: 250}) {
		t.Errorf("invoices %v", got)
	}
	r.Advance(time.Hour).WantActions()
	if r.Row(ann) != nil || r.Row(bob) != nil || left(r) != 0 {
		t.Errorf("rows: ann %s, bob %s, pen %s", r.Row(ann), r.Row(bob), r.Row(pen))
	}
}

func TestReservationRunsOutAndTheNextOneGetsIt(t *testing.T) {
	r := shop(t)
	proctest.Send(r, Orders, ann, Order{Product: pen})
	r.Advance(Hold).WantActions("reservation-over")
	proctest.Send(r, Orders, ann, Order{Paid: true})
	proctest.Send(r, Orders, bob, Order{Product: pen})
	proctest.Send(r, Orders, bob, Order{Product: pen}) // again: it is put back and taken
	proctest.Send(r, Orders, bob, Order{Paid: true})
	if got := proctest.Take(r, Invoices); len(got) != 1 || got[0].Name != "Bob" {
		t.Errorf("invoices %v", got)
	}
	r.WantActions()
}

func TestStrangersAndUnknownProductsGetNothing(t *testing.T) {
	r := shop(t)
	proctest.Send(r, Orders, "acme/eve", Order{Product: pen})
	proctest.Send(r, Orders, "globex/ann", Order{Product: pen})
	proctest.Send(r, Orders, ann, Order{Product: "acme/product:ink"})
	proctest.Drop(r, Customers, bob)
	proctest.Send(r, Orders, bob, Order{Product: pen}).WantActions()
	if left(r) != 1 || r.Row(ann) != nil {
		t.Errorf("pen %s, ann %s", r.Row(pen), r.Row(ann))
	}
}
