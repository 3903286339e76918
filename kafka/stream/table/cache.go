package table

// row is a decoded row of the table.
type row struct {
	key string
	raw []byte // the key, for the records of the table
	val any    // nil: there is no row
	// size is of the encoding last seen.
	size  int
	dirty bool
	// enc is the row's present encoding, made in careful steps only, and good until the row changes; nil
	// with val nil too.
	enc []byte
}

// What a cached row takes in memory: about rowOverhead, and decodedFactor times its encoding, which is
// measured on the Decider's packed rows (122 bytes on average, 690 decoded); plain protobuf takes less.
const (
	rowOverhead   = 200
	decodedFactor = 5
)

func (r *row) bytes() int64 { return int64(2*len(r.key) + decodedFactor*r.size + rowOverhead) }

// cache holds decoded rows in two generations: what is used moves to the young one; when that holds
// half of the limit, the old one is dropped. It is only dropped between transactions, because a
// row's changes are nowhere else before the commit.
type cache struct {
	limit      int64
	young, old map[string]*row
	bytes      int64 // of the young
}

func (c *cache) get(key []byte) *row {
	if r := c.young[string(key)]; r != nil {
		return r
	}
	r := c.old[string(key)]
	if r != nil {
		delete(c.old, r.key)
		c.add(r)
	}
	return r
}

func (c *cache) add(r *row) {
	if c.young == nil {
		c.young = map[string]*row{}
	}
	c.young[r.key] = r
	c.bytes += r.bytes()
}

// resize notes the size of a row that is in the young generation.
func (c *cache) resize(r *row, size int) {
	c.bytes -= r.bytes()
	r.size = size
	c.bytes += r.bytes()
}

// rotate ends a generation when it is large enough. No row may be dirty.
func (c *cache) rotate() {
	if c.bytes > c.limit/2 {
		c.old, c.young, c.bytes = c.young, nil, 0
	}
}

func (c *cache) drop() { c.young, c.old, c.bytes = nil, nil, 0 }
