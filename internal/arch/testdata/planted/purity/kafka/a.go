// Package kafka may do all that.
package kafka

import (
	_ "os"
	"time"
)

func f(c chan int) {
	go f(c)
	<-c
	time.Sleep(time.Second)
}
