// Package worker starts behind its main's back.
package worker

func init() {} // want init

type t struct{}

func (t) init() {}
