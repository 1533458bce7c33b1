//go:build race

package contract

// raceEnabled: the race detector allocates.
const raceEnabled = true
