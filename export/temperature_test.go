package export

import (
	"math"
	"testing"

	"sightd/models"
)

// TestTemperature fits to scores of 0.9 and 0.1, whose logits differ by ln 9: the first class is right on r of all pictures if
// ln(9)/T = ln(r/(1-r)).
func TestTemperature(t *testing.T) {
	written := []float32{0.9, 0.1}
	temperature := func(r float64) float64 { return math.Log(9) / math.Log(r/(1-r)) }
	for _, test := range []struct {
		name    string
		classes []int
		float   []float32
		want    float64
		to      string
	}{
		{"labels, too sure", []int{0, 0, 0, 0, 0, 0, 0, 1, 1, 1}, []float32{0.9, 0.1}, temperature(0.7), models.FittedToLabels},
		{"labels, not sure enough", []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []float32{0.9, 0.1}, temperature(0.95), models.FittedToLabels},
		{"the label of one missing", []int{0, 0, 0, 0, 0, 0, 0, 1, 1, -1}, []float32{0.8, 0.2}, temperature(0.8), models.FittedToFloatScores},
		{"no labels", []int{-1, -1}, []float32{0.9, 0.1}, 1, models.FittedToFloatScores},
		{"right on all", []int{0, 0, 0}, []float32{0.95, 0.05}, temperature(0.95), models.FittedToFloatScores},
		{"labels that aren't", []int{0, 1, 0, 1}, []float32{0.7, 0.3}, temperature(0.7), models.FittedToFloatScores},
		{"wrong on all", []int{1, 1}, []float32{0.9, 0.1}, 1, models.FittedToFloatScores},
		{"float scores beyond the range", []int{-1}, []float32{0.5, 0.5}, 4, models.FittedToFloatScores},
	} {
		t.Run(test.name, func(t *testing.T) {
			var fit temperatureFit
			for _, class := range test.classes {
				fit.include(class, test.float, written)
			}
			got := fit.fit()
			if got.FittedTo != test.to || got.Pictures != len(test.classes) || !near(got.Value, test.want, 2e-3) {
				t.Errorf("got %+v, want %.3f fitted to %s", got, test.want, test.to)
			}
		})
	}
	var none temperatureFit
	if got := none.fit(); got != nil {
		t.Errorf("no pictures: got %+v, want none", got)
	}
	var zeros temperatureFit // as an integer output may have them
	zeros.include(0, []float32{0.6, 0.4}, []float32{0, 0})
	zeros.include(1, []float32{0, 0}, []float32{1, 0})
	if got := zeros.fit().Value; !(got >= minTemperature && got <= maxTemperature) {
		t.Errorf("scores of 0: got %g", got)
	}
}

// TestCrossEntropy computes it by its definition.
func TestCrossEntropy(t *testing.T) {
	var fit temperatureFit
	written := [][]float32{{0.5, 0.3, 0.2}, {0.1, 0.1, 0.8}}
	classes := []int{1, 2}
	for i, p := range written {
		fit.include(classes[i], p, p)
	}
	const temperature = 1.7
	want := 0.0
	for i, p := range written {
		sum := 0.0
		for _, v := range p {
			sum += math.Pow(float64(v), 1/temperature)
		}
		want -= math.Log(math.Pow(float64(p[classes[i]]), 1/temperature)/sum) / 2
	}
	if got := fit.crossEntropy(fit.labels, temperature); !near(got, want, 1e-6) {
		t.Errorf("got %g, want %g", got, want)
	}
}

func BenchmarkTemperature(b *testing.B) {
	var fit temperatureFit
	scores := make([]float32, 1000)
	for picture := range 200 {
		for i := range scores {
			scores[i] = float32((picture+7*i)%100) / 50000
		}
		fit.include(picture%1000, scores, scores)
	}
	b.ReportAllocs()
	for b.Loop() {
		fit.best(fit.labels)
	}
}
