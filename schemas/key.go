package schemas

import (
	"cmp"
	"fmt"
	"strings"
)

// MaxIDBytes bounds tenant, user and message ids.
const MaxIDBytes = 256

// Coordinates say where a record lies in the log.
type Coordinates struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String is topic/partition/offset.
func (c Coordinates) String() string {
	return fmt.Sprintf("%s/%d/%d", c.Topic, c.Partition, c.Offset)
}

// Compare orders coordinates of one topic by partition and offset.
func (c Coordinates) Compare(d Coordinates) int {
	return cmp.Or(cmp.Compare(c.Topic, d.Topic), cmp.Compare(c.Partition, d.Partition), cmp.Compare(c.Offset, d.Offset))
}

// Key is the key of every record about a user: tenant/user. A tenant holds no slash.
func Key(tenant, user string) string { return tenant + "/" + user }

// SplitKey undoes Key; a key without a slash belongs to the tenant "".
func SplitKey(key string) (tenant, user string) {
	if tenant, user, ok := strings.Cut(key, "/"); ok {
		return tenant, user
	}
	return "", key
}
