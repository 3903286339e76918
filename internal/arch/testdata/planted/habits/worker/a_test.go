package worker

import (
	"time"
	later "time"
)

func init() {} // want init

func sleep() {
	time.Sleep(time.Second)   // want sleep
	later.Sleep(later.Second) // want sleep
	wait := time.Sleep        // want sleep
	_ = wait
	t := x{}
	t.Sleep()
}

type x struct{}

func (x) Sleep() {}
