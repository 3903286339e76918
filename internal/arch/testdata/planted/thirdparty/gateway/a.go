// Package gateway may use franz-go, but not what kafka keeps to itself.
package gateway

import (
	_ "github.com/IBM/sarama" // want third-party third-party
	_ "github.com/gorilla/websocket"
	_ "github.com/lovoo/goka" // want third-party third-party
	_ "github.com/twmb/franz-go/pkg/kgo"
)
