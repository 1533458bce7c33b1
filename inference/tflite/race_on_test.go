//go:build race

package tflite

// raceEnabled: the race detector changes what is allocated and how much memory is used.
const raceEnabled = true
