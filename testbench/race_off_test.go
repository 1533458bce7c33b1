//go:build !race

package testbench

const raceDetector = false
