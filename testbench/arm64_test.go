package testbench

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/daemon"
	"sightd/models"
)

const arm64Env = "TEST_SIGHTD_ARM64"

// emulated is the program for arm64 on this machine.
type emulated struct {
	qemu []string
}

// run runs sightd with arguments and gives what it writes to standard output.
func (e emulated) run(t *testing.T, arguments ...string) string {
	t.Helper()
	all := slices.Concat(e.qemu, []string{os.Getenv(arm64Env)}, arguments)
	cmd := exec.CommandContext(t.Context(), all[0], all[1:]...)
	// The libraries of this machine are none for arm64: the program has to find its own.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LD_LIBRARY_PATH=") })
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(all, " "), err, stderr.Bytes())
	}
	return stdout.String()
}

// TestArm64 runs the program for arm64 under qemu, on qemu's best processor and on that of a Raspberry Pi 4, which has no instructions
// for dot products: XNNPACK takes other kernels there. Both must say of the drawn pictures what this machine says.
func TestArm64(t *testing.T) {
	if os.Getenv(arm64Env) == "" {
		t.Skip(arm64Env + " doesn't name the program for arm64: make test-arm64")
	}
	processors := map[string][]string{
		"best processor": {"qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"},
		"Cortex-A72":     {"qemu-aarch64-static", "-cpu", "cortex-a72", "-L", "/usr/aarch64-linux-gnu"},
	}
	_, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	labels := map[string]string{"golf_ball": "golf ball", "parachute": "parachute"}
	var files []string
	for name := range labels {
		data, err := daemon.SamplePNG(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, name+".png"))
		if err := os.WriteFile(files[len(files)-1], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(files)
	here := classify(t, files)
	for name, qemu := range processors {
		t.Run(name, func(t *testing.T) {
			e := emulated{qemu}
			version := e.run(t, "version")
			if !strings.Contains(version, "linux/arm64") || !strings.Contains(version, "TensorFlow Lite 2.20") || !strings.Contains(version, "OpenCV 4.13") {
				t.Errorf("version: want TensorFlow Lite 2.20, OpenCV 4.13, linux/arm64, have\n%s", version)
			}
			checkDelegate(t, e.run(t, "bench", "--num_runs", "1", "--warmup_runs", "0"))

			lines := strings.Split(strings.TrimSpace(e.run(t, append([]string{"classify", "--json"}, files...)...)), "\n")
			if len(lines) != len(files) {
				t.Fatalf("classify: want %d lines, have %q", len(files), lines)
			}
			for _, line := range lines {
				var v verdict
				if err := json.Unmarshal([]byte(line), &v); err != nil {
					t.Fatalf("classify --json wrote %s: %v", line, err)
				}
				name := strings.TrimSuffix(filepath.Base(v.File), ".png")
				want := here[name+".png"]
				if v.Label != labels[name] || want.Label != labels[name] || math.Abs(v.Score-want.Score) > float64(card.Golden.Tolerance) {
					t.Errorf("%s: want %s, within %.2f of this machine's %s %.4f, have %s %.4f",
						name, labels[name], card.Golden.Tolerance, want.Label, want.Score, v.Label, v.Score)
				}
				t.Logf("%s: %s %.4f, on this machine %.4f", name, v.Label, v.Score, want.Score)
			}
		})
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
		t.Log(strings.TrimSpace(line))
		return
	}
	t.Errorf("bench: want a line with the delegate, have\n%s", bench)
}
