package worker // want doc

type Bare struct{} // want doc

// Told has a comment.
type Told struct{ Field int }

func Quiet() {} // want doc

func quiet() {}

// Loud has one.
func Loud() {}

func (Told) Method() {} // want doc

func (t *Told) Pointer() {} // want doc

type hidden struct{}

func (hidden) Exported() {}

type Pair[K, V any] struct{} // want doc

func (*Pair[K, V]) Turn() {} // want doc

func (*Pair[K, V]) Swap() {}

func Swap() {} // want doc

// Group of constants.
const (
	One = 1
	Two = 2
)

const Three = 3 // Three has one behind it.

const (
	Four = 4 // the first even square
	five = 5
)

var Six, seven = 6, 7 // six

var (
	// Eight is told.
	Eight = 8
	Nine, // want doc
	ten = 9, 10
)

// A comment on a group says nothing of its types.
type (
	Eleven int // want doc
	// Twelve is told.
	Twelve int
)
