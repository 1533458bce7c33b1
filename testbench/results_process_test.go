package testbench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sightd/models"
)

// peakMB runs sightd classify on a file and gives the peak of its resident memory in MB, and whether it ended by itself. (The peak that
// the system tells of an ended child is no help: it is that of the parent, where that was larger.)
func peakMB(t *testing.T, file string) (mb float64, whole bool) {
	t.Helper()
	cmd := exec.Command(sightd(t), "classify", file, "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: when it is written, sightd is done with the file and reads its standard input.
	_, err = stdin.Write(make([]byte, 128<<10))
	if err == nil {
		mb = memoryMB(t, cmd.Process.Pid, "VmHWM:")
	}
	if closed := stdin.Close(); err == nil {
		err = closed
	}
	_ = cmd.Wait() // standard input is no picture: it always ends with 1
	return mb, err == nil && cmd.ProcessState.ExitCode() == 1
}

// measureProcess measures memory and start of the program.
func measureProcess(t *testing.T) []figure {
	photos, _ := validationPhotos(t, 1)
	tiny := filepath.Join(t.TempDir(), "tiny.jpg")
	if err := os.WriteFile(tiny, drawnJPEG(t, "golf_ball", 32), 0o600); err != nil {
		t.Fatal(err)
	}
	const n = 10
	var photoMB, idleMB, classifyMS, readyMS []float64
	for range n {
		mb, _ := peakMB(t, tiny)
		idleMB = append(idleMB, mb)
		mb, _ = peakMB(t, photos[0])
		photoMB = append(photoMB, mb)

		begin := time.Now()
		classify(t, photos)
		classifyMS = append(classifyMS, milliseconds(time.Since(begin)))

		board := newBoard(t, embedded)
		begin = time.Now()
		p, _ := board.run(t)
		readyMS = append(readyMS, milliseconds(time.Since(begin)))
		p.signal(t, syscall.SIGTERM)
	}
	figures := []figure{
		{what: "sightd classify on a photo: peak resident memory", value: fmt.Sprintf("%.1f MB", median(photoMB)), n: n, spread: between(photoMB, "MB")},
		{what: "sightd classify on a photo: start to end", value: fmt.Sprintf("%.0f ms", median(classifyMS)), n: n, spread: between(classifyMS, "ms")},
		{what: "sightd run: start until it watches the folder", value: fmt.Sprintf("%.0f ms", median(readyMS)), n: n, spread: between(readyMS, "ms")},
	}

	files := slices.DeleteFunc(list(t, shared(t, "images", "odd")), func(name string) bool { return name == "EXPECTED.tsv" })
	worst, at, ended := 0.0, "", true
	for _, name := range files {
		mb, whole := peakMB(t, shared(t, "images", "odd", name))
		ended = ended && whole
		if over := mb - median(idleMB); over > worst {
			worst, at = over, name
		}
	}
	figures = append(figures, figure{what: "odd files: peak memory over idle", value: fmt.Sprintf("%.0f MB (%s)", worst, at),
		target: "250 MB or less, all end by themselves", met: ended && worst <= 250, n: len(files)})
	return append(figures, measureHostile(t))
}

func between(values []float64, unit string) string {
	return fmt.Sprintf("%.1f to %.1f %s", quantile(values, 0), quantile(values, 1), unit)
}

var overIdle = regexp.MustCompile(`, (-?[0-9.]+) MB over idle`)

// measureHostile reads what package camera's own test on files that are made to cost memory says.
func measureHostile(t *testing.T) figure {
	const command = "go test -count=1 -v -run TestHostileFiles ./camera"
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = repository(t)
	output, err := cmd.CombinedOutput()
	worst, at, n := 0.0, "", 0
	name := ""
	for line := range strings.Lines(string(output)) {
		if run, ok := strings.CutPrefix(line, "=== RUN   TestHostileFiles/"); ok {
			name = strings.ReplaceAll(strings.TrimSpace(run), "_", " ")
		}
		found := overIdle.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		mb, parseErr := strconv.ParseFloat(found[1], 64)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		n++
		if mb > worst {
			worst, at = mb, name
		}
	}
	if n == 0 {
		t.Fatalf("%s: want lines with memory over idle, have (%v)\n%s", command, err, output)
	}
	return figure{what: "files made to cost memory: peak over idle", value: fmt.Sprintf("%.0f MB (%s)", worst, at),
		target: "250 MB or less, all end by themselves", met: err == nil && worst <= 250, n: n, command: command}
}

// measureMQTT drops all labelled photos while the daemon runs.
func measureMQTT(t *testing.T) []figure {
	photos, _ := validationPhotos(t, 0)
	var figures []figure
	for _, broker := range []string{"embedded broker", "mosquitto"} {
		t.Run(broker, func(t *testing.T) {
			b := newBoard(t, embedded)
			url := ""
			if broker == "mosquitto" {
				url = startMosquitto(t).url
				b = newBoard(t, fmt.Sprintf("broker: %q", url))
			}
			p, own := b.run(t)
			if url == "" {
				url = own
			}
			s := subscribe(t, url)
			begin := time.Now()
			names := b.dropFiles(t, photos)
			s.files(t, len(names))
			took := time.Since(begin)
			names = append(names, b.last(t, s))
			b.filed(t, names...)
			rss := memoryMB(t, p.cmd.Process.Pid, "VmRSS:")
			p.signal(t, syscall.SIGTERM)

			once := 0
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, name := range names {
				once += btoi(len(s.events[name]) == 1 && s.events[name][0].Type == "classified")
			}
			figures = append(figures,
				figure{what: "photos dropped, arrived over MQTT each once: " + broker, value: fmt.Sprintf("%d of %d", once, len(names)),
					target: "all", met: once == len(names) && s.total == len(names), n: len(names)},
				figure{what: "photos a second from file to event: " + broker, value: fmt.Sprintf("%.0f", float64(len(photos))/took.Seconds()), n: len(photos)},
				figure{what: "sightd run: resident memory after them: " + broker, value: fmt.Sprintf("%.1f MB", rss), n: 1})
		})
	}
	return figures
}

// memoryMB is a figure of a process's memory in MB: VmRSS is what is resident, VmHWM its peak.
func memoryMB(t testing.TB, pid int, key string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb * 1024 / 1e6
		}
	}
	t.Fatalf("process %d: no %s", pid, key)
	return 0
}

// measurePeers reads what testbench/peers.sh left, which must have been with this model.
func measurePeers(t *testing.T) []figure {
	folder := filepath.Join(repository(t), ".venv", "peers")
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(filepath.Join(folder, "default.tflite")); err != nil || models.Sum(file) != models.Sum(data) {
		t.Fatalf("%s holds no comparison of this model: make peers", folder)
	}
	text, err := os.ReadFile(filepath.Join(folder, "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Model   string
		Version string // of ai-edge-litert
		Photos  int
		LiteRT  struct {
			Same       int     `json:"same_top1"`
			Difference float64 `json:"score_difference"`
		} `json:"ai-edge-litert"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var figures []figure
	for _, m := range all {
		figures = append(figures, figure{
			what:   "ai-edge-litert " + m.Version + " on the same file: " + strings.ReplaceAll(m.Model, "_", ", input "),
			value:  fmt.Sprintf("same top-1 on %d, scores within %.4f", m.LiteRT.Same, m.LiteRT.Difference),
			target: "all, within 0.01", met: m.LiteRT.Same == m.Photos && m.LiteRT.Difference <= 0.01, n: m.Photos, command: peersCommand,
		})
	}
	return figures
}
