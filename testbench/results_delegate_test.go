package testbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDelegateResults measures what is claimed of the choice of delegates and writes RESULTS_DELEGATES.md.
func TestDelegateResults(t *testing.T) {
	results{
		file: "RESULTS_DELEGATES.md", title: "Results of delegates", target: "delegate-results",
		how: "Comparisons of times are interleaved, and are of medians.",
		groups: []group{
			{"invoke", measureDelegates},
			{"start", measureStart},
			{"choice", measureChoice},
		},
		notes: delegateNotes,
	}.measure(t)
}

const delegateNotes = `
- The model is the embedded one, int8, 160x160 pixels.
- Start: the whole command, until it says that the model is ready. The fixed delegate is the one that was chosen, with its number of
  threads; both read XNNPACK's weight cache. Starts of both kinds take turns.
`

// measureDelegates compares XNNPACK with the built-in kernels.
func measureDelegates(t *testing.T) []figure {
	const fewer = 3 // the built-in kernels are slow
	plainMS, xMS, ratio, spread := compareRounds(t, fewer, delegateSides)
	return []figure{{what: "Invoke: built-in kernels over XNNPACK", value: fmt.Sprintf("%.1f (%.1f over %.2f ms)", ratio, plainMS, xMS),
		n: fewer * blocks * (blockRuns - 1), spread: spread}}
}

// runs is what the log says of the model.
type runs struct {
	Delegate string `json:"delegate"`
	Threads  int    `json:"threads"`
}

// untilReady starts the daemon, stops it when its model is ready, and gives the time until then, and what runs it.
func (b *board) untilReady(t *testing.T) (took time.Duration, by runs) {
	t.Helper()
	begin := time.Now()
	p := start(t, b.dir, sightd(t), "run", "-c", "sightd.yaml")
	line := p.line(t, `"msg":"model is ready"`)
	took = time.Since(begin)
	if err := json.Unmarshal([]byte(line), &by); err != nil {
		t.Fatalf("log line %s: %v", line, err)
	}
	by.Delegate, _, _ = strings.Cut(by.Delegate, ",")
	p.line(t, `"msg":"ready`)
	p.signal(t, syscall.SIGTERM)
	return took, by
}

// measureStart compares starts with a delegate that was found out before with those with the same one configured.
func measureStart(t *testing.T) []figure {
	sightd(t) // isn't to be built while a start is measured
	chosen := newBoard(t, embedded)
	chosen.configure(t, fixedModel, "")
	first, winner := chosen.untilReady(t)
	fixed := newBoard(t, embedded)
	fixed.configure(t, fixedModel, fmt.Sprintf("model: {delegate: %s, threads: %d}\n", winner.Delegate, winner.Threads))
	fixed.untilReady(t) // writes the weight cache

	const n = 40
	var fixedMS, chosenMS []float64
	for i := range 2 * n {
		if i%4 == 0 || i%4 == 3 { // A B B A: a drift in time hits both alike
			took, _ := fixed.untilReady(t)
			fixedMS = append(fixedMS, milliseconds(took))
		} else {
			took, _ := chosen.untilReady(t)
			chosenMS = append(chosenMS, milliseconds(took))
		}
	}
	ratio := median(chosenMS) / median(fixedMS)
	return []figure{
		{what: fmt.Sprintf("start with auto, found out before (%s, %d threads), over one with that configured", winner.Delegate, winner.Threads),
			value:  fmt.Sprintf("%.3f (%.1f over %.1f ms)", ratio, median(chosenMS), median(fixedMS)),
			target: "1.05 or less", met: ratio <= 1.05, n: n, spread: between(chosenMS, "ms") + " over " + between(fixedMS, "ms")},
		{what: "first start with auto", value: fmt.Sprintf("%.0f ms", milliseconds(first)), n: 1},
	}
}

// measureChoice prints the table of bench --all.
func measureChoice(t *testing.T) (figures []figure) {
	begin := time.Now()
	p := start(t, t.TempDir(), sightd(t), "bench", "--all")
	p.until(t, func() bool { return p.over }, func() string { return "bench --all goes on" })
	took := time.Since(begin)
	rows := strings.Split(p.String(), "\n")
	for _, row := range rows[1:] {
		fields := strings.Fields(row)
		if len(fields) < 7 {
			continue
		}
		value := fields[2] + " ms, off by " + fields[6]
		if fields[2] == "-" {
			value = strings.Join(fields[7:], " ")
		}
		figures = append(figures, figure{what: "tried: " + fields[0] + ", threads " + fields[1], value: value, n: 1})
	}
	return append(figures, figure{what: "all trials", value: fmt.Sprintf("%.1f s", took.Seconds()), n: 1})
}
