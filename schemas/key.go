package schemas

import (
	"cmp"
	"strconv"
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
	b := make([]byte, 0, 64) // on the stack for topics of usual length
	b = append(append(b, c.Topic...), '/')
	b = append(strconv.AppendInt(b, int64(c.Partition), 10), '/')
	return string(strconv.AppendInt(b, c.Offset, 10))
}

// Compare orders coordinates of one topic by partition and offset.
func (c Coordinates) Compare(d Coordinates) int {
	return cmp.Or(cmp.Compare(c.Topic, d.Topic), cmp.Compare(c.Partition, d.Partition), cmp.Compare(c.Offset, d.Offset))
}

// Key is the key of every record about a user: tenant/user. A tenant holds no slash.
func Key(tenant, user string) string { return tenant + "/" + user }

// anonymousMark opens the user part of an anonymous id's key. No user id begins with it, so that who
// knows, or chooses, the one can never be taken for the other.
const anonymousMark = "~"

// AnonymousUser is how an anonymous id stands wherever a user may stand: in keys, facts, verdicts,
// actions and push channels. The empty id stays empty.
func AnonymousUser(id string) string {
	if id == "" {
		return ""
	}
	return anonymousMark + id
}

// IsAnonymous says whether a user is an anonymous id, as AnonymousUser writes it.
func IsAnonymous(user string) bool { return strings.HasPrefix(user, anonymousMark) }

// SplitKey undoes Key; a key without a slash belongs to the tenant "".
func SplitKey(key string) (tenant, user string) {
	if tenant, user, ok := strings.Cut(key, "/"); ok {
		return tenant, user
	}
	return "", key
}
