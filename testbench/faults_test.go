package testbench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// roundsEnv is how many rounds the daemon is killed for; the other rows have a part of that. 0: no rows are run.
const roundsEnv = "FAULT_ROUNDS"

// fewRounds are those of a run that isn't asked for more.
const fewRounds = 4

// fault is a row of the table: what is done to a board, so many times, and what became of its events.
type fault struct {
	name  string
	how   string  // it is made
	part  float64 // of the rounds
	cruel func(t *testing.T, f *fault)

	rounds    int
	expected  int // events
	lost      int
	repeated  int
	recovered []time.Duration // from the fault's end until the broker has acknowledged a picture that was dropped then
	seed      uint64
	missing   []string // what was lost
	done      bool
	notes     []string
}

// faultRows are all of them.
func faultRows() []*fault {
	return []*fault{
		{name: "sightd: kill -9", how: "at random moments, in its start too; broker there, away or silent", part: 1, cruel: killed},
		{name: "sightd: SIGTERM", how: "at random moments; broker there, away or silent", part: 0.25, cruel: terminated},
		{name: "broker: SIGTERM", how: "mosquitto stopped and started", part: 0.05, cruel: brokerStopped},
		{name: "broker: kill -9", how: "mosquitto killed and started; by what it acknowledged", part: 0.05, cruel: brokerKilled},
		{name: "network: reset", how: "a proxy resets all connections", part: 0.05, cruel: netReset},
		{name: "network: stalled", how: "a proxy reads nothing, then goes on", part: 0.05, cruel: netStalled},
		{name: "network: half open", how: "a proxy forgets the connections and tells nobody", part: 0.01, cruel: netForgotten},
		{name: "network: torn PUBLISH", how: "the broker gets a part of the packet", part: 0.05, cruel: netTornPublish},
		{name: "network: torn PUBACK", how: "sightd gets a part of the packet", part: 0.05, cruel: netTornPuback},
		{name: "disk full: tmpfs", how: "state and inbox; broker away meanwhile", part: 0.05, cruel: fullTmpfs},
		{name: "disk full: ext4", how: "state and inbox; broker away meanwhile", part: 0.05, cruel: fullExt4},
		{name: "disk slow", how: "strace holds up fsync, fdatasync, pwrite64, rename, unlink; kill -9 every other time", part: 0.05, cruel: slowDisk},
		{name: "clock jumps", how: "the vDSO's wall clock, hours to decades, to and fro; broker away every other time", part: 0.1, cruel: clockJumps},
		{name: "file times", how: "modification times from 1970 to 2100, the same ones, changed ones", part: 0.05, cruel: fileTimes},
		{name: "camera: its faults", how: "twelve HTTP cameras, a fault each: silent, frozen, garbage …", part: 0.02, cruel: cameraFaults},
		{name: "camera: its program", how: "rpicam-vid killed with SIGKILL, stopped with SIGSTOP", part: 0.05, cruel: cameraProgram},
		{name: "memory: huge pictures", how: "50 megapixels each, within 400 MB of memory (cgroup)", part: 0.02, cruel: hugePictures},
		{name: "memory: out of it", how: "the kernel's killer, by the cgroup's limit", part: 0.05, cruel: outOfMemory},
		{name: "corrupt: model", how: "overwritten, cut, removed in use and at the start", part: 0.03, cruel: corruptModel},
		{name: "corrupt: configuration", how: "reloaded and started with", part: 0.03, cruel: corruptConfig},
		{name: "corrupt: state", how: "sources.json, ledger, weight cache, folder's journal: bits, cut, empty", part: 0.05, cruel: corruptState},
		{name: "corrupt: outbox", how: "bits, cut; what is damaged is counted", part: 0.1, cruel: corruptOutbox},
	}
}

// TestFaults treats boards badly, whole programs on real brokers and files, and looks for what is lost. make faults runs it for longer, has
// a board work for SOAK, and writes RESULTS_FAULTS.md.
func TestFaults(t *testing.T) {
	if raceDetector {
		t.Skip("the program under test is the same without the race detector")
	}
	t.Parallel()
	rounds, rows := faultRounds(t), faultRows()
	begin := time.Now()
	if rounds > 0 {
		t.Run("rows", func(t *testing.T) {
			for _, f := range rows {
				t.Run(strings.NewReplacer(": ", "_", " ", "_").Replace(f.name), func(t *testing.T) {
					t.Parallel()
					f.rounds, f.seed = max(1, int(math.Ceil(f.part*float64(rounds)))), faultSeed(t)
					f.cruel(t, f)
					f.done = true
					if f.lost > 0 {
						t.Errorf("%s: want nothing lost, have %d of %d events in %d rounds; repeat with TEST_SEED=%d\n%s",
							f.name, f.lost, f.expected, f.rounds, f.seed, strings.Join(f.missing, "\n"))
					}
					t.Log(f, f.notes)
				})
			}
		})
	}
	table := faultTable(rows)
	t.Logf("in %v:\n%s", time.Since(begin).Round(time.Second), table)
	var soaked *soak
	if text := os.Getenv(soakEnv); text != "" {
		t.Run("soak", func(t *testing.T) { soaked = soakFor(t, text) })
	}
	if os.Getenv(resultsEnv) == "1" && rounds > 0 && soaked != nil && !t.Failed() {
		writeFaults(t, rounds, rows, soaked)
	}
}

func faultRounds(t testing.TB) int {
	t.Helper()
	text := os.Getenv(roundsEnv)
	if text == "" {
		return fewRounds
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s: want a number of rounds, have %q", roundsEnv, text)
	}
	return n
}

// String is what is logged of a row.
func (f *fault) String() string {
	return fmt.Sprintf("%s, %s: %d rounds, %d events, %d lost, %d repeated, recovered in %s", f.name, f.how, f.rounds, f.expected, f.lost, f.repeated, f.recovery())
}

// miss counts so many events as lost.
func (f *fault) miss(n int, format string, args ...any) {
	f.lost += n
	f.missing = append(f.missing, fmt.Sprintf(format, args...))
}

func (f *fault) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// recovery is the median and the longest.
func (f *fault) recovery() string {
	if len(f.recovered) == 0 {
		return ""
	}
	var seconds []float64
	for _, d := range f.recovered {
		seconds = append(seconds, d.Seconds())
	}
	return fmt.Sprintf("%.2f s, %.2f s", median(seconds), quantile(seconds, 1))
}

// atMost is the largest share that n tries without one of what is looked for allow, at 95 % (the rule of three, which for few tries is
// the exact bound).
func atMost(n int) float64 { return 1 - math.Pow(0.05, 1/float64(n)) }

func faultTable(rows []*fault) string {
	var b strings.Builder
	b.WriteString("| fault | made by | times | events | lost | repeated | recovered in: p50, max | rounds that lose: at most |\n| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |\n")
	rounds, expected, lost := 0, 0, 0
	for _, f := range rows {
		if !f.done {
			fmt.Fprintf(&b, "| %s | %s | not run | | | | | |\n", f.name, f.how)
			continue
		}
		bound := ""
		if f.lost == 0 {
			bound = fmt.Sprintf("%.2g %%", 100*atMost(f.rounds))
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %s | %s |\n", f.name, f.how, f.rounds, f.expected, f.lost, f.repeated, f.recovery(), bound)
		rounds, expected, lost = rounds+f.rounds, expected+f.expected, lost+f.lost
	}
	if lost == 0 && rounds > 0 {
		fmt.Fprintf(&b, "| all | | %d | %d | %d | | | %.2g %% |\n", rounds, expected, lost, 100*atMost(rounds))
	}
	return b.String()
}

// writeFaults writes RESULTS_FAULTS.md.
func writeFaults(t *testing.T, rounds int, rows []*fault, s *soak) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Results of faults\n\nMeasured by `make faults`, which rewrites this file when nothing was lost.\n\n")
	fmt.Fprintf(&b, "- Machine: %s, %d cores, Linux %s\n- Date: %s\n- Source: commit %s\n- Versions: %s\n", processor(t), runtime.NumCPU(), kernel(t),
		time.Now().UTC().Format(time.DateOnly), commit(t), versions(t))
	fmt.Fprintf(&b, "- Command: `%s=%d %s=%s make faults`\n\n## Faults\n\n", roundsEnv, rounds, soakEnv, os.Getenv(soakEnv))
	b.WriteString(faultTable(rows))
	b.WriteString(faultNotes)
	for _, f := range rows {
		for _, note := range f.notes {
			fmt.Fprintf(&b, "- %s: %s\n", f.name, note)
		}
	}
	b.WriteString("\n## Soak\n\n" + s.report())
	if err := os.WriteFile(filepath.Join(repository(t), "testbench", "RESULTS_FAULTS.md"), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

const faultNotes = `
- Each row runs the built sightd as a process of its own, with a folder and a live source whose every picture is an event, on a mosquitto behind a proxy.
- Lost: a picture that was in the folder and of which the broker never acknowledged an event, or a subscriber never heard; or an event of a
  live source that the log tells and that never came, or whose number is missing between those that came. The last line of a log that was cut
  off by SIGKILL isn't counted unless its event came: it is written before the event is accepted.
- Repeated: events whose id had come before. What mosquitto sends again itself (DUP) isn't counted.
- Recovered in: from the fault's end (the kill, where sightd is started at once) until the broker has acknowledged the event of a picture that was dropped at that moment. A
  daemon that loses its connection waits 1 s before the next try, then twice as long each time; where a row breaks connections, sightd is started anew for each round.
- The last column is what the rounds say at 95 %: with nothing lost in n rounds, the share of rounds that lose something is below 3/n or so (the rule of three).
- A power cut can't be made here. publish/outbox's tests make one of the files that were and weren't synced.
`
