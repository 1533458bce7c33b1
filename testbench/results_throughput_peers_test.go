package testbench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// notMeasured is the value of rows of other programs that aren't installed.
const notMeasured = "not measured: " + speedCommand

const speedCommand = "make peers-speed"

// unmeasured are the rows that RESULTS.md has of other programs, without their figures: see peerRows.
func unmeasured(t *testing.T, beginnings ...string) []figure {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "testbench", "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return peerRows(text, beginnings...)
}

// peerRows are the rows of a results file that speedCommand gave, and that begin in one of these ways, without their figures.
func peerRows(text []byte, beginnings ...string) (figures []figure) {
	for line := range bytes.Lines(text) {
		cells := strings.Split(strings.Trim(string(line), "| \n"), " | ")
		if len(cells) != 6 || cells[5] != "`"+speedCommand+"`" {
			continue
		}
		for _, b := range beginnings {
			if strings.HasPrefix(cells[0], b) {
				target, _, _ := strings.Cut(cells[2], ": ")
				figures = append(figures, figure{what: cells[0], value: notMeasured, target: target, command: speedCommand})
				break
			}
		}
	}
	return figures
}

// peerSpeed is a row of what testbench/peers/throughput.py leaves: a program on a set of pictures.
type peerSpeed struct {
	Name, Version, Network, Set string
	Cores, Pictures, Rounds     int
	Rate                        float64    `json:"pictures_per_s"`
	Spread                      [2]float64 // of Rate
	CPU                         float64    `json:"cpu_ms_per_picture"`
	Peak                        float64    `json:"peak_mb"`
	Same                        float64    `json:"top1_same"`
	Ratio                       float64    `json:"sightd_ratio"`
	RatioSpread                 [2]float64 `json:"sightd_ratio_spread"`
	Target                      float64    // of Ratio; 0: none
	NotMeasured                 string     `json:"not_measured"` // the reason
}

// folderOfPhotos begins the rows of measureThroughputPeers.
const folderOfPhotos = "folder of photos"

// measureThroughputPeers reads what make peers-speed left of programs that classify a folder, by turns with sightd.
func measureThroughputPeers(t *testing.T) (figures []figure) {
	file := filepath.Join(repository(t), ".venv", "peers", "throughput.json")
	if _, err := os.Stat(file); err != nil {
		if figures = unmeasured(t, folderOfPhotos); figures == nil {
			figures = []figure{{what: folderOfPhotos + ": sightd and other programs", value: notMeasured, command: speedCommand}}
		}
		return figures
	}
	var all struct {
		Rows    []peerSpeed
		OneCore []peerSpeed `json:"one_core"`
	}
	readJSON(t, file, &all)
	for _, p := range slices.Concat(all.Rows, all.OneCore) {
		figures = append(figures, p.figure())
	}
	return figures
}

// figure is the row in RESULTS.md.
func (p peerSpeed) figure() figure {
	cores := "1 core"
	if p.Cores > 1 {
		cores = fmt.Sprint(p.Cores, " cores")
	}
	name := strings.TrimSpace(p.Name + " " + strings.TrimPrefix(p.Version, p.Name+" ")) // sightd version begins with the name
	what := fmt.Sprintf("%s, %s, %s: %s, %s", folderOfPhotos, p.Set, cores, name, p.Network)
	f := figure{what: what, n: p.Pictures * p.Rounds, command: speedCommand}
	if p.NotMeasured != "" {
		f.value = "not measured: " + p.NotMeasured
		return f
	}
	f.value = fmt.Sprintf("%.1f a second, each %.1f ms of processor time, peak %.0f MB, the same top-1 on %.1f %%", p.Rate, p.CPU, p.Peak, 100*p.Same)
	f.spread = fmt.Sprintf("%.1f to %.1f over %d rounds", p.Spread[0], p.Spread[1], p.Rounds)
	if p.Ratio != 1 {
		f.value = fmt.Sprintf("sightd gets through **%.2f** times as many: %s", p.Ratio, f.value)
		f.spread += fmt.Sprintf("; %.2f to %.2f times", p.RatioSpread[0], p.RatioSpread[1])
	}
	if p.Target > 0 {
		f.target, f.met = fmt.Sprintf("%g times or more", p.Target), p.Ratio >= p.Target
	}
	return f
}
