//go:build race

package weights

const raceDetector = true
