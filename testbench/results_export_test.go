package testbench

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sightd/inference"
	"sightd/inference/tflite"
)

const peersCommand = "make peers"

// TestPeersResults writes RESULTS_PEERS.md of what make peers has left.
func TestPeersResults(t *testing.T) {
	results{
		file: "RESULTS_PEERS.md", title: "Export and its peers", target: "peers",
		how:    "Comparisons of times are interleaved in one process, and are of medians.",
		groups: []group{{"peers", measurePeers}, {"export", measureExport}},
		notes:  exportNotes,
	}.measure(t)
}

// peerFigures is an entry of compare.json: a file judged on photos that it wasn't calibrated on.
type peerFigures struct {
	Program, Fold   string // Fold "" is both
	N               int
	Agreement, Top1 float64
	FloatTop1       float64 `json:"float_top1"`
	McNemarP        float64 `json:"mcnemar_p"`
	KL              *float64
	ScoreDifference float64 `json:"score_difference"`
}

// cost is what measure.py writes.
type cost struct {
	Wall float64 `json:"wall_s"`
	Peak float64 `json:"peak_mb"`
}

// measureExport reads what testbench/export_peers.sh left of the export tool and its peers, and times their files.
func measureExport(t *testing.T) []figure {
	out := filepath.Join(repository(t), ".venv", "export")
	var all []peerFigures
	readJSON(t, filepath.Join(out, "compare.json"), &all)
	figures := exportAccuracy(all)
	figures = append(figures, exportCost(t, out)...)
	figures = append(figures, torchFigures(t, out)...)
	for _, program := range []string{"mediapipe", "classic"} {
		for _, model := range []string{"sightd_uint8", "sightd_integer"} {
			same, n := otherAgreement(t, out, program, model)
			name := map[string]string{"mediapipe": "MediaPipe's ImageClassifier", "classic": "TensorFlow Lite's Python example"}[program]
			figures = append(figures, figure{
				what:  fmt.Sprintf("%s on %s.tflite: sightd's label", name, model),
				value: fmt.Sprintf("%d of %d", same, n), target: fmt.Sprintf("%.0f %% or more", 100*minOtherAgreement),
				met: float64(same) >= minOtherAgreement*float64(n), n: n, command: peersCommand,
			})
		}
	}
	return append(figures, exportInvoke(t, out)...)
}

// exportAccuracy tells how near each program's file is to the float network.
func exportAccuracy(all []peerFigures) []figure {
	both := map[string]peerFigures{}
	for _, p := range all {
		if p.Fold == "" || p.Fold == "both" {
			both[p.Program] = p
		}
	}
	ours, converter, logits := both["sightd"], both["tensorflow"], both["tensorflow, logits"]
	float := both["sightd float32"]
	figures := []figure{{
		what:  "BVLC float32: largest difference of a score from the network computed in float64",
		value: fmt.Sprintf("%.1e", float.ScoreDifference), target: "1e-4 or less", met: float.N > 0 && float.ScoreDifference <= 1e-4, n: float.N,
	}}
	for _, p := range all {
		if p.Program == "sightd float32" {
			continue
		}
		f := figure{what: fmt.Sprintf("BVLC int8, %s, fold %s: the float network's label", p.Program, cmp.Or(p.Fold, "a and b")),
			value: fmt.Sprintf("%.1f %%, top-1 %.1f %% (float %.1f %%, McNemar p %.2f)", 100*p.Agreement, 100*p.Top1, 100*p.FloatTop1, p.McNemarP), n: p.N}
		if p.KL != nil {
			f.value += fmt.Sprintf(", KL %.5f", *p.KL)
		}
		figures = append(figures, f)
	}
	points := 100 * (ours.Agreement - converter.Agreement)
	figures = append(figures,
		figure{what: "BVLC int8, agreement: sightd less TensorFlow's converter", value: fmt.Sprintf("%+.1f points", points),
			target: "+1 or more", met: points >= 1, n: ours.N},
		figure{what: "BVLC int8, sightd: agreement", value: fmt.Sprintf("%.1f %%", 100*ours.Agreement), target: "98.5 % or more", met: ours.Agreement >= 0.985, n: ours.N},
		figure{what: "BVLC int8, sightd: top-1 not significantly below float", value: fmt.Sprintf("p %.2f", ours.McNemarP), target: "above 0.05",
			met: ours.McNemarP > 0.05 || ours.Top1 >= ours.FloatTop1, n: ours.N})
	if ours.KL != nil && logits.KL != nil {
		figures = append(figures, figure{what: "BVLC int8, mean KL: sightd over TensorFlow's converter (its logits)",
			value: fmt.Sprintf("%.2f", *ours.KL / *logits.KL), target: "below 1", met: *ours.KL < *logits.KL, n: ours.N})
	}
	for i := range figures {
		figures[i].command = peersCommand
	}
	return figures
}

// exportCost compares the time and memory of making the files.
func exportCost(t *testing.T, out string) []figure {
	var ours, theirs cost // the seconds of both folds, the peak of either
	var spread []string
	for _, fold := range []string{"a", "b"} {
		var o, c cost
		readJSON(t, filepath.Join(out, "sightd_"+fold+".cost.json"), &o)
		readJSON(t, filepath.Join(out, "tf_"+fold+".cost.json"), &c)
		ours.Wall, theirs.Wall = ours.Wall+o.Wall, theirs.Wall+c.Wall
		ours.Peak, theirs.Peak = max(ours.Peak, o.Peak), max(theirs.Peak, c.Peak)
		spread = append(spread, fmt.Sprintf("fold %s: %.3f", fold, o.Wall/c.Wall))
	}
	wall, peak := ours.Wall/theirs.Wall, ours.Peak/theirs.Peak
	return []figure{
		{what: "export of BVLC int8, 200 pictures, time: sightd over TensorFlow's converter", value: fmt.Sprintf("%.3f (%.1f over %.1f s)", wall, ours.Wall/2, theirs.Wall/2),
			target: "0.25 or less", met: wall <= 0.25, n: 2, spread: strings.Join(spread, ", "), command: peersCommand},
		{what: "export of BVLC int8, 200 pictures, peak memory: sightd over TensorFlow's converter", value: fmt.Sprintf("%.2f (%.0f over %.0f MB)", peak, ours.Peak, theirs.Peak),
			target: "0.50 or less", met: peak <= 0.5, n: 2, command: peersCommand},
	}
}

// torchFigures tells how near the float file of a torchvision state dict is to torch.
func torchFigures(t *testing.T, out string) []figure {
	var all []struct {
		File            string
		Photos          int
		LogitDifference float64 `json:"logit_difference"`
		SameTop5        int     `json:"same_top5"`
	}
	readJSON(t, filepath.Join(out, "torch.json"), &all)
	var figures []figure
	for _, f := range all {
		figures = append(figures, figure{
			what:   "float32 of torchvision's state dict, 1000 classes, " + f.File + ": difference from torch's logits",
			value:  fmt.Sprintf("%.1e, same top-5 on %d", f.LogitDifference, f.SameTop5),
			target: "1e-3 or less, all", met: f.LogitDifference <= 1e-3 && f.SameTop5 == f.Photos, n: f.Photos, command: peersCommand,
		})
	}
	return figures
}

// exportInvoke times the files of sightd and of TensorFlow's converter, by turns.
func exportInvoke(t *testing.T, out string) []figure {
	const fewer = 5
	var figures []figure
	for _, c := range []struct {
		what, ours, theirs string
		most               float64
	}{
		{"BVLC", "sightd_a", "tf_a", 0.45},
		{"Imagenette's weights (batch norm), 224 pixels", "sightd_imagenette", "tf_imagenette", 1.00},
	} {
		ours, theirs, ratio, spread := compareRounds(t, fewer, func(t *testing.T) (a, b func([]float64) error) {
			return invokeFile(t, filepath.Join(out, c.ours+".tflite")), invokeFile(t, filepath.Join(out, c.theirs+".tflite"))
		})
		figures = append(figures, figure{
			what:  fmt.Sprintf("Invoke, XNNPACK, 1 thread, %s: sightd's file over that of TensorFlow's converter", c.what),
			value: fmt.Sprintf("%.3f (%.2f over %.2f ms)", ratio, ours, theirs), target: fmt.Sprintf("%.2f or less", c.most), met: ratio <= c.most,
			n: fewer * blocks * (blockRuns - 1), spread: spread,
		})
	}
	return figures
}

// invokeFile opens a model on one thread.
func invokeFile(t *testing.T, file string) func(times []float64) error {
	t.Helper()
	c, err := tflite.Open(file, inference.Options{Delegate: inference.XNNPACK, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() }) // frees C memory; there is nothing to report
	return func(times []float64) error {
		for i := range times {
			start := time.Now()
			if err := c.Invoke(); err != nil {
				return err
			}
			times[i] = milliseconds(time.Since(start))
		}
		return nil
	}
}
