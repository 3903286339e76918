package engage

import (
	_ "os"
	"time"
)

var _ = time.Now()
