package export

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/models"
	"sightd/models/drawn"
)

// one gives scores of six classes with those of two set.
func one(best int, high float32, second int, low float32) []float32 {
	scores := make([]float32, 6)
	scores[best], scores[second] = high, low
	return scores
}

func TestEvaluation(t *testing.T) {
	pictures := []struct {
		class          int
		float, written []float32
	}{
		{0, one(0, 0.8, 1, 0.2), one(0, 0.8, 1, 0.2)},  // both right
		{0, one(0, 0.6, 1, 0.4), one(1, 0.6, 0, 0.4)},  // float alone
		{3, one(1, 0.6, 3, 0.4), one(3, 0.6, 1, 0.4)},  // written alone
		{5, one(1, 0.6, 2, 0.4), one(2, 0.6, 1, 0.4)},  // neither, and class 5 is the last of six
		{-1, one(4, 0.5, 5, 0.5), one(4, 0.5, 5, 0.5)}, // a tie: the first
		{2, one(2, 0.5, 3, 0.5), one(3, 0.5, 2, 0.5)},  // a tie: right
	}
	var e evaluation
	for _, p := range pictures {
		if err := e.include(p.class, p.float, p.written); err != nil {
			t.Fatal(err)
		}
	}
	want := evaluation{pictures: 6, agree: 3, labelled: 5, float: hits{top1: 3, top5: 4}, written: hits{top1: 3, top5: 4}, onlyFloat: 1, onlyWritten: 1}
	want.divergence = e.divergence
	if e != want {
		t.Errorf("got %+v, want %+v", e, want)
	}
	// Of three pictures the two best classes are swapped: 0.6*ln(0.6/0.4) + 0.4*ln(0.4/0.6) each.
	if kl := 3 * 0.2 * math.Log(1.5); !near(e.divergence, kl, 1e-5) || !near(e.meanDivergence(), kl/6, 1e-5) {
		t.Errorf("divergence: got %g in all and %g on average, want %g and %g", e.divergence, e.meanDivergence(), kl, kl/6)
	}

	a := e.agreementCard()
	if a.Pictures != 6 || a.Top1 != 0.5 || a.Interval != wilson(3, 6) || a.KL != e.meanDivergence() {
		t.Errorf("agreement: got %+v", a)
	}
	c := e.accuracyCard(fileNumbers)
	if c.Pictures != 5 || c.LabelledBy != string(fileNumbers) || c.FloatTop1 != 0.6 || c.Top1 != 0.6 || c.FloatTop5 != 0.8 || c.Top5 != 0.8 ||
		c.Top5Interval != wilson(4, 5) || c.Agreement != 0.5 || c.McNemarP != 1 {
		t.Errorf("accuracy: got %+v", c)
	}
}

func TestEvaluationErrors(t *testing.T) {
	good, nan := []float32{0.5, 0.5}, []float32{0.5, float32(math.NaN())}
	for _, test := range []struct {
		class          int
		float, written []float32
		want           string
	}{
		{0, nan, good, "scores of the float network: want finite scores of 0 or more, have NaN for class 1"},
		{0, good, nan, "scores of the written network: want finite"},
		{0, good, []float32{1}, "have 2 and 1"},
		{2, good, good, "above class 2"},
	} {
		var e evaluation
		if err := e.include(test.class, test.float, test.written); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("class %d of %v and %v: got error %v, want one with %q", test.class, test.float, test.written, err, test.want)
		}
		if e != (evaluation{}) {
			t.Errorf("class %d of %v and %v: was counted: %+v", test.class, test.float, test.written, e)
		}
	}
	_, _, err := evaluateSamples([]sample{{file: "a.png", class: 0}}, [][]float32{good}, [][]float32{nan})
	if err == nil || !strings.Contains(err.Error(), "a.png") {
		t.Errorf("a sample's scores: got error %v, want one with its name", err)
	}
}

// openDefaultTwice opens the embedded model.
func openDefaultTwice(t *testing.T) (network, *models.Card) {
	t.Helper()
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	runs, err := openTwice(data, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBoth(runs) })
	return network{runs, graph.Symmetric}, card
}

// TestScores runs the embedded model over drawn pictures: each gets its golden scores, in its place.
func TestScores(t *testing.T) {
	n, card := openDefaultTwice(t)
	var samples []sample
	for range 3 {
		for _, g := range card.Golden.Inputs {
			pixels, err := drawn.Picture(g.Name, card.Input.Size)
			if err != nil {
				t.Fatal(err)
			}
			samples = append(samples, sample{file: g.Name, class: -1, pixels: pixels})
		}
	}
	scores, err := n.scores(samples, nobody)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range samples {
		for class, want := range card.Golden.Inputs[i%len(card.Golden.Inputs)].Scores {
			if got := scores[i][class]; !near(float64(got), float64(want), float64(card.Golden.Tolerance)) {
				t.Errorf("%s, class %d: got %g, want %g", s.file, class, got, want)
			}
		}
	}
	e, temperature, err := evaluateSamples(samples, scores, scores)
	if err != nil {
		t.Fatal(err)
	}
	if e.pictures != len(samples) || e.agree != len(samples) || e.divergence != 0 || e.labelled != 0 {
		t.Errorf("the scores compared with themselves: got %+v", e)
	}
	if temperature.Value != 1 || temperature.FittedTo != models.FittedToFloatScores {
		t.Errorf("the scores fitted to themselves: got %+v, want 1", temperature)
	}
	samples[1].pixels = samples[1].pixels[1:]
	if _, err := n.scores(samples, nobody); err == nil || !strings.Contains(err.Error(), samples[1].file) {
		t.Errorf("a sample of another size: got error %v, want one with its name", err)
	}
}

// TestEvaluateFolder evaluates on more pictures than are read at a time: golf balls, of which three call themselves tenches.
func TestEvaluateFolder(t *testing.T) {
	n, card := openDefaultTwice(t)
	var names []string
	for i := range evaluationBatch + 6 {
		names = append(names, fmt.Sprintf("8-ball-%02d.png", i))
	}
	dir := writePictures(t, "golf_ball", append(names, "0.png", "00.png", "000_ball.png")...)
	writeFile(t, filepath.Join(dir, "8-half.png"), []byte("\x89PNG\r\n\x1a\n"))
	f, err := labelledFolder(dir, card.Labels)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	e, refused, err := evaluateFolder(f, card.Input.Size, n, n, func(done, total int) {
		if last++; done != last || total != len(f.files) {
			t.Errorf("progress: got %d of %d, want %d of %d", done, total, last, len(f.files))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	right := evaluationBatch + 6
	if e.pictures != right+3 || e.labelled != right+3 || e.float.top1 != right || e.written.top1 != right || e.onlyFloat+e.onlyWritten != 0 {
		t.Errorf("got %+v, want %d pictures of which %d are right", e, right+3, right)
	}
	if len(refused) != 1 || !strings.HasPrefix(refused[0], "8-half.png: ") {
		t.Errorf("refused: got %q, want 8-half.png", refused)
	}

	for _, name := range f.files {
		if name != "8-half.png" {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if f, err = labelledFolder(dir, card.Labels); err != nil {
		t.Fatal(err)
	}
	if _, _, err := evaluateFolder(f, card.Input.Size, n, n, nobody); err == nil || !strings.Contains(err.Error(), "have 1 that can't") {
		t.Errorf("only pictures that can't be read: got error %v", err)
	}
}
