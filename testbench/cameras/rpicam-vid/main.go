// Rpicam-vid plays a Raspberry Pi's program of that name for tests, without a camera: see package cameras.
package main

import (
	"fmt"
	"os"

	"sightd/testbench/cameras"
)

func main() {
	program, err := os.Executable()
	if err == nil {
		err = cameras.Play(program, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
