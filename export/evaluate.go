package export

import (
	"fmt"

	"sightd/export/graph"
	"sightd/inference/tflite"
	"sightd/models"
)

// evaluation counts how the float network and the written one judge the same pictures.
type evaluation struct {
	pictures   int
	agree      int     // the same best class
	divergence float64 // sum over the pictures of divergence(float, written), in nats

	labelled       int // pictures whose class is known; the counts below are of these
	float, written hits
	onlyFloat      int // float has the right best class, written hasn't
	onlyWritten    int
}

// hits counts right answers.
type hits struct{ top1, top5 int }

// include adds a picture: its class, -1 for not known, and the scores of both networks.
func (e *evaluation) include(class int, float, written []float32) error {
	if err := checkScores(float); err != nil {
		return fmt.Errorf("scores of the float network: %w", err)
	}
	if err := checkScores(written); err != nil {
		return fmt.Errorf("scores of the written network: %w", err)
	}
	if len(float) != len(written) || class >= len(float) {
		return fmt.Errorf("scores: want as many of both networks and above class %d, have %d and %d", class, len(float), len(written))
	}
	e.pictures++
	if argmax(float) == argmax(written) {
		e.agree++
	}
	e.divergence += divergence(float, written)
	if class < 0 {
		return nil
	}
	e.labelled++
	rightFloat, right := e.float.include(rank(float, class)), e.written.include(rank(written, class))
	if rightFloat && !right {
		e.onlyFloat++
	}
	if right && !rightFloat {
		e.onlyWritten++
	}
	return nil
}

// include counts a picture by the rank of its class, and says whether it is the best.
func (h *hits) include(rank int) bool {
	if rank < 5 {
		h.top5++
	}
	if rank == 0 {
		h.top1++
	}
	return rank == 0
}

// meanDivergence is 0 without pictures.
func (e *evaluation) meanDivergence() float64 {
	return e.divergence / float64(max(e.pictures, 1))
}

// agreementCard is what the card says of the calibration pictures.
func (e *evaluation) agreementCard() models.Agreement {
	return models.Agreement{
		Pictures: e.pictures,
		Top1:     share(e.agree, e.pictures),
		Interval: wilson(e.agree, e.pictures),
		KL:       e.meanDivergence(),
	}
}

// accuracyCard is what the card says of labelled pictures. All that were included have a class.
func (e *evaluation) accuracyCard(rule labelRule) *models.Accuracy {
	n := e.labelled
	return &models.Accuracy{
		Pictures:          n,
		LabelledBy:        string(rule),
		FloatTop1:         share(e.float.top1, n),
		FloatTop1Interval: wilson(e.float.top1, n),
		Top1:              share(e.written.top1, n),
		Top1Interval:      wilson(e.written.top1, n),
		FloatTop5:         share(e.float.top5, n),
		FloatTop5Interval: wilson(e.float.top5, n),
		Top5:              share(e.written.top5, n),
		Top5Interval:      wilson(e.written.top5, n),
		Agreement:         share(e.agree, e.pictures),
		AgreementInterval: wilson(e.agree, e.pictures),
		KL:                e.meanDivergence(),
		McNemarP:          mcnemar(e.onlyFloat, e.onlyWritten),
	}
}

// network is a network in TensorFlow Lite whose output 0 are the scores, open twice for inHalves.
type network struct {
	runs [2]*tflite.Classifier
	norm graph.Normalization // of a FLOAT32 input
}

// scores runs the network over the samples and gives the scores of each.
func (n network) scores(samples []sample, progress func(done, total int)) ([][]float32, error) {
	all := make([][]float32, len(samples))
	return all, inHalves(len(samples), progress, func(half, i int) error {
		run := n.runs[half]
		all[i] = make([]float32, run.Spec().NumClasses())
		err := invoke(run, n.norm, samples[i].pixels)
		if err == nil {
			err = run.Output(0, all[i])
		}
		if err != nil {
			return fmt.Errorf("score %s: %w", samples[i].file, err)
		}
		return nil
	})
}

// includeAll adds samples with the scores of both networks, a slice for each.
func (e *evaluation) includeAll(samples []sample, float, written [][]float32) error {
	for i, s := range samples {
		if err := e.include(s.class, float[i], written[i]); err != nil {
			return fmt.Errorf("compare on %s: %w", s.file, err)
		}
	}
	return nil
}

// evaluateSamples compares the scores of both networks, a slice for each sample, and fits the temperature to them.
func evaluateSamples(samples []sample, float, written [][]float32) (*evaluation, *models.Temperature, error) {
	e, t := &evaluation{}, &temperatureFit{}
	if err := e.includeAll(samples, float, written); err != nil {
		return nil, nil, err
	}
	for i, s := range samples {
		t.include(s.class, float[i], written[i])
	}
	return e, t.fit(), nil
}

// evaluationBatch is how many pictures evaluateFolder has in memory at a time.
const evaluationBatch = 64

// evaluateFolder compares both networks on the pictures of a folder, a batch at a time: there may be very many. refused names the pictures that
// could not be read.
func evaluateFolder(f *folder, size int, float, written network, progress func(done, total int)) (e *evaluation, refused []string, err error) {
	e = &evaluation{}
	var batch []sample
	quiet := func(int, int) {}
	flush := func() error {
		floats, err := float.scores(batch, quiet)
		if err != nil {
			return fmt.Errorf("float network: %w", err)
		}
		scores, err := written.scores(batch, quiet)
		if err != nil {
			return fmt.Errorf("written network: %w", err)
		}
		err = e.includeAll(batch, floats, scores)
		batch = batch[:0]
		return err
	}
	refused, err = f.each(size, progress, func(s sample, _ []byte) error {
		if batch = append(batch, s); len(batch) < evaluationBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && e.pictures == 0 {
		err = fmt.Errorf("evaluate on %s: want pictures that can be read, have %d that can't", f.dir, len(refused))
	}
	return e, refused, err
}
