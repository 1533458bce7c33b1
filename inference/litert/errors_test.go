package litert_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/inference/litert"
	"sightd/inference/litert/gputest"
)

// TestFind looks for libraries where they are and where they aren't.
func TestFind(t *testing.T) {
	empty, half, folder := t.TempDir(), t.TempDir(), t.TempDir()
	names := litert.Files()
	for _, path := range []string{filepath.Join(half, names[0]), filepath.Join(folder, names[0])} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, names[1]), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dir, want string }{
		{empty, "there is no libLiteRt.so in " + empty + ": install the package sightd-gpu, or make gpu in a checkout"},
		{half, "there is no libLiteRtWebGpuAccelerator.so in " + half},
		{folder, "libLiteRtWebGpuAccelerator.so in " + folder + ": want a file, have d"},
		{filepath.Join(half, names[0]), "not a directory"},
		{filepath.Join(empty, "missing"), "there is no libLiteRt.so"},
	} {
		if err := litert.Find(test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: have error %v, want %q", test.dir, err, test.want)
		}
		data := file(t, small())
		if c, err := litert.OpenBytes(data, inference.Options{Delegate: inference.GPU}, test.dir); err == nil {
			t.Errorf("%s: opened, want an error", test.dir)
			c.Close() // the test has failed anyway
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("open with %s: have error %v, want %q", test.dir, err, test.want)
		}
	}
	if err := litert.Find(gputest.Need(t)); err != nil {
		t.Error(err)
	}
}

// TestOpenErrors opens what can't be opened.
func TestOpenErrors(t *testing.T) {
	dir := gputest.Need(t)
	gpu := inference.Options{Delegate: inference.GPU}
	changed := func(change func(m *tflitefile.Model)) []byte {
		m := small()
		change(&m)
		return file(t, m)
	}
	whole := changed(func(*tflitefile.Model) {})
	for _, test := range []struct {
		name string
		data []byte
		opts inference.Options
		want string
	}{
		{"no delegate", whole, inference.Options{}, `delegate: LiteRT runs gpu, have ""`},
		{"another delegate", whole, inference.Options{Delegate: inference.XNNPACK}, `delegate: LiteRT runs gpu, have "xnnpack"`},
		{"too many threads", whole, inference.Options{Delegate: inference.GPU, Threads: 65}, "threads: want 0 (chosen by sightd) to 64, have 65"},
		{"negative threads", whole, inference.Options{Delegate: inference.GPU, Threads: -1}, "have -1"},
		{"empty", nil, gpu, "not a TensorFlow Lite model: want"},
		{"a text", []byte("a text that is long enough"), gpu, "not a TensorFlow Lite model: want"},
		{"cut", whole[:len(whole)/2], gpu, "not a TensorFlow Lite model: LiteRT refuses it"},
		{"cut at the header", whole[:8], gpu, "not a TensorFlow Lite model: LiteRT refuses it"},
		{"no operator for the GPU", file(t, refused()), gpu, "it can run one of its 1 operators at most"},
		{"no picture", changed(func(m *tflitefile.Model) {
			m.Inputs = []int{0}
			m.Tensors[0].Shape = []int{1, side, side, 4}
			m.Tensors[1] = constant("conv/weights", features, 3, 3, 4)
		}), gpu,
			"read input: want one RGB picture [1 height width 3], the model wants [1 8 8 4]"},
		{"no scores", changed(func(m *tflitefile.Model) { m.Outputs = []int{3} }), gpu, "read output 0: want scores [1 classes]"},
		{"two inputs", changed(func(m *tflitefile.Model) {
			m.Tensors = append(m.Tensors, activation("second", 1, classes), activation("sum", 1, classes))
			m.Operators = append(m.Operators, tflitefile.Operator{
				Code: tflitefile.OpAdd, Inputs: []int{9, 10}, Outputs: []int{11}, Options: tflitefile.AddOptions{}})
			m.Inputs, m.InputNames, m.Outputs = []int{0, 10}, []string{"input", "second"}, []int{11}
		}), gpu, "read inputs: want 1 input, the model has 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := litert.OpenBytes(test.data, test.opts, dir)
			if err == nil {
				t.Errorf("opened: %s", c.Delegation())
				c.Close() // the test has failed anyway
			} else if !strings.Contains(err.Error(), test.want) {
				t.Errorf("have error %v, want %q", err, test.want)
			}
		})
	}
}

// child opens the embedded model twice in a process of its own, and gives what it prints of it. environment comes in front of this
// process's.
func child(t *testing.T, dir string, environment ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), environment...), childVariable+"="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the child process: %v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	lines := slices.DeleteFunc(strings.Split(stdout.String(), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "error: ") && !strings.HasPrefix(line, "opened: ")
	})
	if len(lines) != 2 {
		t.Fatalf("want two lines, have %q\n%s", lines, stderr.Bytes())
	}
	return lines
}

// TestAbsent shows what is said where a part of what the GPU needs is missing or is something else. Each must be an error, at the second
// time too, and none a crash.
func TestAbsent(t *testing.T) {
	dir := gputest.Need(t)
	library, accelerator := filepath.Join(dir, litert.Files()[0]), filepath.Join(dir, litert.Files()[1])
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	// with gives a folder that has these files as LiteRT and as its accelerator.
	with := func(library, accelerator string) string {
		folder := t.TempDir()
		for i, target := range []string{library, accelerator} {
			if err := os.Symlink(target, filepath.Join(folder, litert.Files()[i])); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	noLoader := t.TempDir()
	if err := os.Symlink(text, filepath.Join(noLoader, "libvulkan.so.1")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dir   string
		environment string
		want        string
	}{
		{"all is there", dir, "", "opened: gpu, 88 of 88 nodes"},
		{"links", with(library, accelerator), "", "opened: gpu, 88 of 88 nodes"},
		{"no driver", dir, "VK_ICD_FILENAMES=/missing.json", "error: set the GPU up: Vulkan finds no driver"},
		{"no loader", dir, "LD_LIBRARY_PATH=" + noLoader + ":" + os.Getenv("LD_LIBRARY_PATH"), "error: set the GPU up: can't load Vulkan's loader"},
		{"LiteRT is a text", with(text, accelerator), "", "error: load LiteRT: "},
		{"LiteRT is something else", with(accelerator, accelerator), "", "is no LiteRT 2.3: it has no function LiteRtCreateEnvironment"},
		{"the accelerator is a text", with(library, text), "", "error: load LiteRT: "},
		{"the accelerator is something else", with(library, library), "", "is no accelerator of LiteRT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, line := range child(t, test.dir, test.environment) {
				if !strings.Contains(line, test.want) {
					t.Errorf("have %q, want %q", line, test.want)
				}
			}
		})
	}
}
