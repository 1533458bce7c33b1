//go:build !race

package preprocess_test

const raceDetector = false
