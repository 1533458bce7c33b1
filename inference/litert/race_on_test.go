//go:build race

package litert_test

// raceEnabled: the race detector allocates.
const raceEnabled = true
