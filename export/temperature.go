package export

import (
	"math"

	"sightd/models"
)

// The temperatures that are tried, from sharper to flatter scores.
const (
	minTemperature = 0.25
	maxTemperature = 4
)

// temperatureFit collects scores and finds the temperature T that makes them honest: softmax(ln(p)/T) of the written network's
// scores p. Both things that it can be fitted to are a cross entropy with targets t, which are 1 for the label's class, or the float
// network's scores:
//
//	mean over pictures of ln(sum over classes of exp(ln(p)/T)) - (sum over classes of t*ln(p))/T
//
// It is convex in 1/T, and so has one minimum. (Guo et al. 2017, arXiv:1706.04599, section 4.2.) The zero value is ready.
type temperatureFit struct {
	logs     [][]float32 // ln(p) of each picture, a class each
	labels   []float64   // sum of t*ln(p) of each picture that has a label
	floats   []float64   // likewise for the float scores
	labelled int
}

// include adds a picture: its class, -1 for not known, and the scores of both networks, as checkScores wants them.
func (t *temperatureFit) include(class int, float, written []float32) {
	logs, sum, all := make([]float32, len(written)), 0.0, 0.0
	for i, p := range written {
		l := math.Log(max(float64(p), least))
		logs[i] = float32(l)
		sum += float64(float[i]) * l
		all += float64(float[i])
	}
	t.logs = append(t.logs, logs)
	t.floats = append(t.floats, sum/max(all, least))
	label := 0.0
	if class >= 0 {
		label = float64(logs[class])
		t.labelled++
	}
	t.labels = append(t.labels, label)
}

// fit gives the temperature for labels where all pictures have one, else for the float network's scores. Labels that no temperature fits
// (names that only look like class numbers: the flatter the better), or every one does (the network is right on all: the sharper
// the better), don't determine one; then the float scores do, too. Without pictures it is nil.
func (t *temperatureFit) fit() *models.Temperature {
	if len(t.logs) == 0 {
		return nil
	}
	if t.labelled == len(t.logs) {
		value := t.best(t.labels)
		if value > 1.01*minTemperature && value < maxTemperature/1.01 {
			return &models.Temperature{Value: value, FittedTo: models.FittedToLabels, Pictures: len(t.logs)}
		}
	}
	return &models.Temperature{Value: t.best(t.floats), FittedTo: models.FittedToFloatScores, Pictures: len(t.logs)}
}

// best gives the temperature with the least cross entropy, to three digits behind the point.
func (t *temperatureFit) best(targets []float64) float64 {
	loss := func(logT float64) float64 { return t.crossEntropy(targets, math.Exp(logT)) }
	value := math.Exp(minimize(loss, math.Log(minTemperature), math.Log(maxTemperature), 1e-4))
	return math.Round(1000*value) / 1000
}

// crossEntropy is the mean over the pictures, in nats.
func (t *temperatureFit) crossEntropy(targets []float64, temperature float64) float64 {
	total := 0.0
	for n, logs := range t.logs {
		largest := float64(logs[argmax(logs)])
		sum := 0.0
		for _, l := range logs {
			sum += math.Exp((float64(l) - largest) / temperature)
		}
		total += math.Log(sum) + (largest-targets[n])/temperature
	}
	return total / float64(len(t.logs))
}
