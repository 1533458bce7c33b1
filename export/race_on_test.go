//go:build race

package export

// raceEnabled: what takes seconds without the race detector takes minutes with it.
const raceEnabled = true
