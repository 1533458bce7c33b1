package testbench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// used is what a run of a program took.
type used struct {
	wall, cpu float64 // milliseconds
}

// less is a run without what another one took, for each of n pictures.
func (u used) less(other used, n int) used {
	return used{(u.wall - other.wall) / float64(n), (u.cpu - other.cpu) / float64(n)}
}

// classifyFolder runs sightd classify on a folder and checks that it says something of each picture.
func classifyFolder(t testing.TB, dir string) used {
	t.Helper()
	cmd := exec.Command(sightd(t), "classify", "--json", dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	begin := time.Now()
	err := cmd.Run()
	wall := time.Since(begin)
	if n, want := bytes.Count(out.Bytes(), []byte("\n")), len(list(t, dir)); err != nil || n != want {
		t.Fatalf("sightd classify %s: want %d lines, have %d, %v", dir, want, n, err)
	}
	state := cmd.ProcessState
	return used{milliseconds(wall), milliseconds(state.UserTime() + state.SystemTime())}
}

// folderCost is what a picture of a folder costs sightd classify: what twice as many pictures take longer, for each of them. So the start
// isn't in it.
func folderCost(t testing.TB, dir, twice string) used {
	t.Helper()
	n := len(list(t, dir))
	return classifyFolder(t, twice).less(classifyFolder(t, dir), n)
}

// folderPeak is the peak of the resident memory of sightd classify on a folder, in MB. Its last lines stay in a pipe that is full, so that
// it is still there to be asked.
func folderPeak(t testing.TB, dir string) float64 {
	t.Helper()
	const pipeBytes, held = 4096, 40 // bytes, and lines that are more than a pipe and a buffer of so many hold
	cmd := exec.Command(sightd(t), "classify", "--json", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	file, ok := out.(*os.File)
	if !ok {
		t.Fatalf("want a pipe as the program's output, have %T", out)
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETPIPE_SZ, pipeBytes); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReaderSize(out, pipeBytes)
	for range len(list(t, dir)) - held {
		if _, err := lines.ReadSlice('\n'); err != nil {
			t.Fatalf("sightd classify %s: %v", dir, errors.Join(err, cmd.Wait()))
		}
	}
	peak := memoryMB(t, cmd.Process.Pid, "VmHWM:")
	_, err = io.Copy(io.Discard, lines)
	if ended := cmd.Wait(); err != nil || ended != nil {
		t.Fatalf("sightd classify %s: %v, %v", dir, err, ended)
	}
	return peak
}

// paths are the paths of a folder's files.
func paths(t testing.TB, dir string) []string {
	t.Helper()
	names := list(t, dir)
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names
}

// measureStdin gives sightd classify one photo on its standard input.
func measureStdin(t *testing.T) []figure {
	const n = 40
	files := paths(t, smallPhotos(t, imagenetPhotos(t, n)))
	var wall, cpu []float64
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sightd(t), "classify", "--json", "-")
		cmd.Stdin = file
		begin := time.Now()
		output, err := cmd.Output()
		wall = append(wall, milliseconds(time.Since(begin)))
		if err := errors.Join(err, file.Close()); err != nil || !bytes.HasPrefix(output, []byte(`{"file":"-","label":`)) {
			t.Fatalf("sightd classify - with %s: %s, %v", name, output, err)
		}
		cpu = append(cpu, milliseconds(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
	}
	return []figure{
		{what: "standard input, `sightd classify -`, a 500-px photo: start to end", value: latencyText(wall), n: n, spread: between(wall, "ms")},
		{what: "standard input: processor time, the start included", value: fmt.Sprintf("%.0f ms", median(cpu)), n: n, spread: between(cpu, "ms")},
	}
}

// latencyText are the quantiles of milliseconds that are asked for.
func latencyText(ms []float64) string {
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, p99 %.1f ms", median(ms), quantile(ms, 0.95), quantile(ms, 0.99))
}

// over are the ratios of each of two lists' values.
func over(a, b []float64) (ratios []float64) {
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

// inverse gives a thousand over each value: how many a second there are of what takes so many milliseconds.
func inverse(ms []float64) []float64 {
	rates := slices.Clone(ms)
	for i := range rates {
		rates[i] = 1000 / rates[i]
	}
	return rates
}
