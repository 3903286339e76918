// Command dwell names things for itself only.
package main

func Exported() {}
