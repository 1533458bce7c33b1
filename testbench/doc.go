// Package testbench tests sightd as a whole, as its users meet it: the built program as a process of its own, real brokers,
// real photos, other programs that read the same model, the same program for another machine. And it measures what is
// claimed of sightd: RESULTS.md is written by TestResults, RESULTS_CAMERAS.md by TestCameraResults, RESULTS_DELEGATES.md by
// TestDelegateResults, RESULTS_BOARD.md by TestBoardResults, RESULTS_CASCADE.md by TestCascadeResults, RESULTS_FAULTS.md by TestFaults,
// RESULTS_PEERS.md by TestPeersResults.
//
// It holds nothing that sightd itself needs, and repeats no test of a single package. What takes minutes or installs something runs only
// when it is asked for by an environment variable, which the Makefile's targets set: make bench, make peers, make
// peers-speed, make faults, make cascade-results, make camera-results, make delegate-results, make board-results, make test-arm64, make test-deb.
package testbench
