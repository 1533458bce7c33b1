//go:build race

package graph

// raceEnabled: building a network takes ten times as long with the race detector, and starts no goroutine.
const raceEnabled = true
