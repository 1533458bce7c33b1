//go:build !race

package publish

// raceEnabled says whether the race detector is on: it takes memory of its own.
const raceEnabled = false
