// Package engage does what a pure package must not.
package engage

import (
	_ "context"       // want purity
	_ "crypto/rand"   // want purity
	_ "database/sql"  // want purity
	_ "io"            // want purity
	_ "io/fs"         // want purity
	_ "log/slog"      // want purity
	_ "math/rand/v2"  // want purity
	_ "net/http"      // want purity
	_ "net/url"       // pure values
	_ "os"            // want purity
	_ "runtime/debug" // want purity
	_ "sync/atomic"   // want purity
	clock "time"
)

func f() {
	go f()           // want purity
	var c chan int   // want purity
	c <- 1           // want purity
	<-c              // want purity
	select {}        // want purity
	_ = clock.Now()  // want purity
	_ = clock.Second // a length
	g := clock.Since // want purity
	_ = g
	_ = clock.UnixMilli(1)
}
