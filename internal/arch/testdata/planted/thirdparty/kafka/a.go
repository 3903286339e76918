// Package kafka is the home of goka.
package kafka

import (
	_ "github.com/IBM/sarama"
	_ "github.com/cockroachdb/pebble/v2" // want third-party
	_ "github.com/lovoo/goka"
	_ "github.com/lovoo/gokart" // want third-party
)
