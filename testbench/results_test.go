package testbench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const resultsEnv = "TEST_RESULTS"

// figure is a row of a results file.
type figure struct {
	what, value string
	target      string // "" where there is none
	met         bool   // of target
	n           int
	spread      string // "" where there is none
	command     string
}

// group is a part of a results file that can be measured alone.
type group struct {
	name    string
	measure func(t *testing.T) []figure
}

// section is a part of a results file with a table of its own.
type section struct {
	heading string // "": none
	groups  []group
	notes   string // below the table
}

// results are a results file: of one table, or of sections.
type results struct {
	file     string // in testbench/
	title    string
	target   string // the Makefile's
	how      string // the figures are compared
	groups   []group
	sections []section // in the place of groups
	notes    string
}

// TestResults measures what is claimed of sightd and writes RESULTS.md.
func TestResults(t *testing.T) {
	results{
		file: "RESULTS.md", title: "Results", target: "bench",
		how: "Comparisons of times are interleaved in one run, and are of medians. An interval behind a share is Wilson's of 95 %.",
		sections: []section{
			{"Accuracy", []group{{"accuracy", measureAccuracy}, {"precisions", measurePrecisions}}, accuracyNotes},
			{"Against other programs", []group{{"throughput-peers", measureThroughputPeers}}, peersNotes},
			{"Throughput and latency", []group{{"bound", measureBound}, {"latency", measureFolderLatency}, {"stdin", measureStdin},
				{"camera", measureCameraLatency}, {"mqtt", measureMQTT}}, throughputNotes},
			{"Frame path", []group{{"invoke", measureInvoke}, {"overhead", measureOverhead}, {"step", measureStep}, {"large", measureLarge}}, frameNotes},
			{"Work as it grows", []group{{"pictures", measurePictures}, {"sources", measureSources}, {"classes", measureClasses},
				{"backlog", measureBacklog}}, growthNotes},
			{"Process", []group{{"process", measureProcess}}, processNotes},
		},
		notes: notes,
	}.measure(t)
}

// measure measures one group after the other, and writes the file when all were measured. It asserts no figure: a target that is missed
// stands in the table.
func (r results) measure(t *testing.T) {
	t.Helper()
	if os.Getenv(resultsEnv) != "1" {
		t.Skipf("%s isn't 1: this measures for minutes and rewrites testbench/%s: make %s", resultsEnv, r.file, r.target)
	}
	if raceDetector {
		t.Fatal("the race detector makes everything slower: run it without")
	}
	if r.sections == nil {
		r.sections = []section{{groups: r.groups}}
	}
	load, begun := loadAverage(t), time.Now()
	figures := make([][]figure, len(r.sections))
	groups, measured := 0, 0
	for i, s := range r.sections {
		for _, g := range s.groups {
			groups++
			t.Run(g.name, func(t *testing.T) {
				figures[i] = append(figures[i], g.figures(t)...)
				measured++
			})
		}
	}
	if measured < groups || t.Failed() {
		t.Logf("measured %d of %d groups: %s is left as it is", measured, groups, r.file)
		return
	}
	path := filepath.Join(repository(t), "testbench", r.file)
	if err := os.WriteFile(path, r.report(t, load, time.Since(begun), figures), 0o666); err != nil {
		t.Fatal(err)
	}
}

// figures measures the group, and says by which command it is measured alone.
func (g group) figures(t *testing.T) []figure {
	figures := g.measure(t)
	for i := range figures {
		if figures[i].command == "" {
			figures[i].command = t.Name()
		}
		t.Logf("%+v", figures[i])
	}
	return figures
}

// report is the file. figures are those of each section.
func (r results) report(t *testing.T, load string, took time.Duration, figures [][]figure) []byte {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\nMeasured by `make %s`, which rewrites this file. A target that is missed stays in the table.\n\n", r.title, r.target)
	fmt.Fprintf(&b, "- Machine: %s, %d cores, Linux %s, load %s at the start\n", processor(t), runtime.NumCPU(), kernel(t), load)
	fmt.Fprintf(&b, "- Date: %s, measured in %d s\n", time.Now().UTC().Format(time.DateOnly), int(took.Seconds()))
	fmt.Fprintf(&b, "- Source: commit %s\n", commit(t))
	fmt.Fprintf(&b, "- Versions: %s\n\n", versions(t))
	fmt.Fprintf(&b, "%[1]s\n`%[2]s/…` is run alone by `%[3]s=1 go test -v -run %[2]s/… ./testbench`, which doesn't write this file.\n\n", r.how, t.Name(), resultsEnv)
	for i, s := range r.sections {
		if s.heading != "" {
			fmt.Fprintf(&b, "## %s\n\n", s.heading)
		}
		table(&b, figures[i])
		b.WriteString(s.notes)
		if s.heading != "" {
			b.WriteString("\n")
		}
	}
	b.WriteString(strings.TrimPrefix(r.notes, map[bool]string{true: "\n"}[r.sections[0].heading != ""])) // the one line between is there
	return b.Bytes()
}

// table writes figures as a table.
func table(b *bytes.Buffer, figures []figure) {
	b.WriteString("| figure | value | target | n | spread | command |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range figures {
		target := f.target
		if target != "" && !strings.HasPrefix(f.value, "not measured") {
			target += map[bool]string{true: ": met", false: ": **missed**"}[f.met]
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d | %s | `%s` |\n", f.what, f.value, target, f.n, f.spread, f.command)
	}
}

const notes = `
## Other files

- Live sources: testbench/RESULTS_CAMERAS.md, by "make camera-results".
- Delegates: testbench/RESULTS_DELEGATES.md, by "make delegate-results".
- Small boards: memory, start, sizes, writes: testbench/RESULTS_BOARD.md, by "make board-results".
- Faults, and a long soak: testbench/RESULTS_FAULTS.md, by "make faults".
- Why there is no cascade of two input sizes: testbench/RESULTS_CASCADE.md, by "make cascade-results".
- Export beside TensorFlow's converter, torch and others: testbench/RESULTS_PEERS.md, by "make peers".
- How long the project's own check takes: testbench/RESULTS_CI.md, as .ci/run prints it.
`

// processor names this machine's processor.
func processor(t *testing.T) string {
	t.Helper()
	if model, err := os.ReadFile("/proc/device-tree/model"); err == nil {
		return strings.TrimRight(string(model), "\x00\n")
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n") + " (" + runtime.GOARCH + ")"
		}
	}
	return runtime.GOARCH
}

func kernel(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(name.Release[:])
}

// loadAverage is that of the last minute.
func loadAverage(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))[0]
}

// commit is the source's, and says whether other files than results differ from it.
func commit(t *testing.T) string {
	t.Helper()
	git := func(arguments ...string) (string, error) {
		cmd := exec.Command("git", arguments...)
		cmd.Dir = repository(t)
		output, err := cmd.Output()
		return strings.TrimSpace(string(output)), err
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown"
	}
	changes, err := git("status", "--porcelain", "--", ".", ":!testbench/RESULTS*.md")
	if err != nil {
		t.Fatal(err)
	}
	if changes != "" {
		commit += ", with changes"
	}
	return commit
}

// versions are what sightd version prints, on one line.
func versions(t *testing.T) string {
	t.Helper()
	output, err := exec.Command(sightd(t), "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "commit ") })
	return strings.Join(lines, ", ")
}

// quantile takes the nearest rank: the smallest value that at least the share q of all don't exceed.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
