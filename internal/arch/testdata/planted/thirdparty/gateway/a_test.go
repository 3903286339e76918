package gateway

import (
	_ "github.com/lovoo/goka" // want third-party
	_ "pgregory.net/rapid"
)
