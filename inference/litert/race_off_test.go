//go:build !race

package litert_test

const raceEnabled = false
