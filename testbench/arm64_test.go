package testbench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"sightd/models"
)

const arm64Env = "TEST_SIGHTD_ARM64"

// arm64Program is the program for arm64. Without one the test is skipped.
func arm64Program(t *testing.T) string {
	t.Helper()
	program := os.Getenv(arm64Env)
	if program == "" {
		t.Skip(arm64Env + " doesn't name the program for arm64: make test-arm64")
	}
	return program
}

// armProcessor is one that qemu has. Code may tell processors apart by more than what they can, so that one of a board comes with what the
// board's kernel says of it in /proc/cpuinfo.
type armProcessor struct {
	name string
	qemu string // its -cpu
	part int    // CPU part, and below variant and revision; 0: without a /proc/cpuinfo for arm64

	variant, revision int
}

var (
	bestProcessor = armProcessor{name: "best processor", qemu: "max"}
	raspberryPi5  = armProcessor{"Raspberry Pi 5", "cortex-a76", 0xd0b, 4, 1}
	raspberryPi4  = armProcessor{"Raspberry Pi 4", "cortex-a72", 0xd08, 0, 3}
	raspberryPi3  = armProcessor{"Raspberry Pi 3", "cortex-a53", 0xd03, 0, 4}
	jetsonNano    = armProcessor{"Jetson Nano", "cortex-a57", 0xd07, 1, 1}
)

// emulator makes a qemu that runs programs on a processor, in root.
func (p armProcessor) emulator(t *testing.T) emulator {
	t.Helper()
	root := t.TempDir()
	const libraries = "/usr/aarch64-linux-gnu/lib" // of Debian's cross compiler; a machine that is arm64 itself has its own where they belong
	if _, err := os.Stat(libraries); err == nil {
		if err := os.Symlink(libraries, filepath.Join(root, "lib")); err != nil {
			t.Fatal(err)
		}
	}
	if p.part != 0 {
		if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for i := range 4 {
			fmt.Fprintf(&text, "processor\t: %d\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\n"+
				"CPU variant\t: %#x\nCPU part\t: %#x\nCPU revision\t: %d\n\n", i, p.variant, p.part, p.revision)
		}
		if err := os.WriteFile(filepath.Join(root, "proc", "cpuinfo"), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return emulator{[]string{"qemu-aarch64-static", "-cpu", p.qemu, "-L", root}, t.TempDir()}
}

// emulator is a qemu. What it runs sees its root's files before this machine's.
type emulator struct {
	qemu []string
	dir  string // where programs run: qemu leaves a file there when one crashes
}

// command prepares a program with arguments.
func (e emulator) command(t *testing.T, program string, arguments ...string) *exec.Cmd {
	t.Helper()
	all := slices.Concat(e.qemu, []string{program}, arguments)
	cmd := exec.CommandContext(t.Context(), all[0], all[1:]...)
	cmd.Dir = e.dir
	// The libraries of this machine are none for arm64: the program has to find its own.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LD_LIBRARY_PATH=") })
	return cmd
}

// run runs a program, gives what it writes to standard output, and its exit status. A signal that ends it fails the test.
func (e emulator) run(t *testing.T, program string, arguments ...string) (output []byte, status int) {
	t.Helper()
	cmd := e.command(t, program, arguments...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 || strings.Contains(stderr.String(), "uncaught target signal") {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	if err != nil {
		t.Logf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes(), cmd.ProcessState.ExitCode()
}

// succeed is run of what must have exit status 0.
func (e emulator) succeed(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	output, status := e.run(t, program, arguments...)
	if status != 0 {
		t.Fatalf("%q: want exit status 0, have %d", arguments, status)
	}
	return string(output)
}

// TestArm64 runs the program's commands under qemu, on its best processor and on those of boards: XNNPACK has other kernels where there are
// no dot products, and some for single processors. All must say of the drawn pictures what this machine says.
func TestArm64(t *testing.T) {
	program := arm64Program(t)
	files := drawnFiles(t)
	here := classify(t, files)
	for _, p := range []armProcessor{bestProcessor, raspberryPi5, raspberryPi4, raspberryPi3, jetsonNano} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			e := p.emulator(t)
			checkVerdicts(t, here, e.succeed(t, program, append([]string{"classify", "--json", "--threads", "1"}, files...)...))
			if p != bestProcessor && p != raspberryPi4 {
				return
			}
			checkVerdicts(t, here, e.succeed(t, program, append([]string{"classify", "--json", "--delegate", "cpu", "--threads", "1"}, files...)...))
			checkDelegate(t, e.succeed(t, program, "bench", "--num_runs", "1", "--warmup_runs", "0"))
			version := e.succeed(t, program, "version")
			if !strings.Contains(version, "linux/arm64") || !strings.Contains(version, "TensorFlow Lite 2.20") || !strings.Contains(version, "OpenCV 4.13") {
				t.Errorf("version: want TensorFlow Lite 2.20, OpenCV 4.13, linux/arm64, have\n%s", version)
			}
		})
	}
}

// TestArm64Doctor: the doctor finds the model right. What else it finds is this machine's.
func TestArm64Doctor(t *testing.T) {
	t.Parallel()
	output, status := raspberryPi4.emulator(t).run(t, arm64Program(t), "doctor", "--json")
	var report struct {
		Findings []struct{ Name, Status, Detail string }
	}
	if err := json.Unmarshal(output, &report); err != nil || status > 1 {
		t.Fatalf("doctor --json: want JSON and exit status 0 or 1, have %d, %v:\n%s", status, err, output)
	}
	for _, f := range report.Findings {
		if f.Name == "model" {
			if f.Status != "ok" || !strings.Contains(f.Detail, "xnnpack") {
				t.Errorf("doctor: want the model right on XNNPACK, have %s: %s", f.Status, f.Detail)
			}
			return
		}
	}
	t.Errorf("doctor: want a finding of the model, have\n%s", output)
}

// drawnFiles are the drawn pictures, in each of the formats.
func drawnFiles(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var files []string
	write := func(name string, data []byte) {
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[len(files)-1], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golf := drawnImage(t, "golf_ball", 480)
	var b bytes.Buffer
	if err := png.Encode(&b, golf); err != nil {
		t.Fatal(err)
	}
	write("golf ball.png", b.Bytes())
	write("parachute.jpg", drawnJPEG(t, "parachute", 120)) // smaller than the input
	mat, err := gocv.ImageToMatRGB(golf)
	if err != nil {
		t.Fatal(err)
	}
	defer mat.Close() // always nil
	webp, err := gocv.IMEncode(".webp", mat)
	if err != nil {
		t.Fatal(err)
	}
	defer webp.Close()
	write("golf ball.webp", webp.GetBytes())
	return files
}

// checkVerdicts compares what classify --json says of drawnFiles with what this machine says.
func checkVerdicts(t *testing.T, here map[string]verdict, output string) {
	t.Helper()
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(output) {
		var v verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("classify --json wrote %s: %v", line, err)
		}
		name := filepath.Base(v.File)
		want := here[name]
		if label, _, _ := strings.Cut(name, "."); v.Label != label || want.Label != label || math.Abs(v.Score-want.Score) > float64(card.Golden.Tolerance) {
			t.Errorf("%s: want its name, within %.2f of this machine's %s %.4f, have %s %.4f",
				name, card.Golden.Tolerance, want.Label, want.Score, v.Label, v.Score)
		}
		t.Logf("%s: %s %.4f, on this machine %.4f", name, v.Label, v.Score, want.Score)
		seen++
	}
	if seen != len(here) {
		t.Errorf("classify: want %d lines, have %q", len(here), output)
	}
}

// checkDelegate reads "delegate xnnpack, N of N nodes" in what bench prints.
func checkDelegate(t *testing.T, bench string) {
	t.Helper()
	for line := range strings.Lines(bench) {
		rest, ok := strings.CutPrefix(line, "delegate")
		if !ok {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) != 5 || fields[0] != "xnnpack," || fields[1] != fields[3] || fields[1] == "0" {
			t.Errorf("bench: want all nodes on XNNPACK, have %s", strings.TrimSpace(line))
		}
		return
	}
	t.Errorf("bench: want a line with the delegate, have\n%s", bench)
}
