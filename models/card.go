package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"sightd/inference"
	"sightd/models/drawn"
)

// Card says what a .tflite file made by sightd export is: where it comes from, how it was made, what it was measured to do, and
// which scores prove that a machine runs it correctly. It lies beside the file as JSON. Cards of older versions lack some of it.
//
// Shares are from 0 to 1. An interval is the share's 95 % confidence interval by Wilson's score method, low end first. Numbers that
// are 0 may be left out.
type Card struct {
	Name         string `json:"name"`
	Type         string `json:"type,omitempty"`         // of the weights: int8, float16 or float32
	Architecture string `json:"architecture,omitempty"` // torchvision or bvlc_googlenet
	Author       string `json:"author,omitempty"`
	License      string `json:"license,omitempty"`

	File     FileCard    `json:"file"`
	Source   FileCard    `json:"source"`
	Exporter string      `json:"exporter"` // "sightd 0.1.0, TensorFlow Lite 2.20.0"
	Input    InputCard   `json:"input"`
	Outputs  []string    `json:"outputs"` // names, in order
	Output   *OutputCard `json:"output,omitempty"`
	Labels   []string    `json:"labels"`
	Method   MethodCard  `json:"method"`

	// Agreement compares the file with the float network on the calibration pictures, Accuracy on labelled ones. Without such
	// pictures they are zero and nil.
	Agreement   Agreement    `json:"agreement,omitzero"`
	Accuracy    *Accuracy    `json:"accuracy,omitempty"`
	Temperature *Temperature `json:"temperature,omitempty"`

	Layers []LayerCard `json:"layers,omitempty"` // in order of execution
	Golden GoldenCard  `json:"golden"`
}

// FileCard identifies a file.
type FileCard struct {
	Name   string `json:"name"` // without folders
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// InputCard says what the model's input takes, and how pictures were made into it.
type InputCard struct {
	Type     string     `json:"type"`     // INT8, UINT8 or FLOAT32
	Size     int        `json:"size"`     // height and width in pixels
	Pixels   string     `json:"pixels"`   // how a pixel p of 0 to 255 is written
	Resize   string     `json:"resize"`   // squash: the whole picture, aspect ignored
	Channels string     `json:"channels"` // what the network was trained on: rgb or bgr
	Mean     [3]float64 `json:"mean"`     // its normalization, (p-mean)/std, red green blue
	Std      [3]float64 `json:"std"`
}

// OutputCard says what output 0, a score for each class, is.
type OutputCard struct {
	Type string `json:"type"` // FLOAT32: probabilities p; UINT8: 256*p; INT8: 256*p-128
}

// MethodCard says how the file was made of the float network.
type MethodCard struct {
	Weights     string   `json:"weights"`
	Activations string   `json:"activations"`
	Steps       []string `json:"steps,omitempty"`                // what was done beyond that, in order
	Pictures    int      `json:"calibration_pictures,omitempty"` // 0: none were given
	PicturesSHA string   `json:"calibration_sha256,omitempty"`   // of the pictures' sha256 sums, in the order of their names
}

// Agreement counts the pictures whose best class is the same for the float network and the file.
type Agreement struct {
	Pictures int        `json:"pictures"`
	Top1     float64    `json:"top1"` // share
	Interval [2]float64 `json:"interval,omitzero"`
	KL       float64    `json:"kl,omitzero"` // mean Kullback-Leibler divergence of the file's scores from the float network's, in nats
}

// Accuracy is measured on labelled pictures: the share whose class is the best, or among the five best, for the float network and for
// the file.
type Accuracy struct {
	Pictures   int    `json:"pictures"`
	LabelledBy string `json:"labelled_by,omitempty"` // how names told the classes

	FloatTop1         float64    `json:"float_top1"`
	FloatTop1Interval [2]float64 `json:"float_top1_interval,omitzero"`
	Top1              float64    `json:"top1"`
	Top1Interval      [2]float64 `json:"top1_interval,omitzero"`
	FloatTop5         float64    `json:"float_top5,omitzero"`
	FloatTop5Interval [2]float64 `json:"float_top5_interval,omitzero"`
	Top5              float64    `json:"top5,omitzero"`
	Top5Interval      [2]float64 `json:"top5_interval,omitzero"`

	Agreement         float64    `json:"agreement"` // share with the same best class, right or wrong
	AgreementInterval [2]float64 `json:"agreement_interval,omitzero"`
	KL                float64    `json:"kl,omitzero"` // as in Agreement

	// McNemarP is the two-sided p of McNemar's exact test: how probable it is that top-1 of file and float network differ as much as
	// here, or more, where neither is better.
	McNemarP float64 `json:"mcnemar_p,omitzero"`
}

// What a temperature was fitted to.
const (
	FittedToLabels      = "labels"
	FittedToFloatScores = "float scores"
)

// Temperature is what the logarithms of the file's scores are divided by, before another softmax, to make them honest: above 1 the
// file is too sure of itself. The file itself doesn't apply it. It has the smallest mean negative log likelihood of the calibration
// pictures' labels where they have some, else the smallest mean divergence from the float network's scores. Labels of pictures that
// the network was trained on make it too small: the network is right on nearly all of them.
type Temperature struct {
	Value    float64 `json:"value"`
	FittedTo string  `json:"fitted_to"` // FittedToLabels or FittedToFloatScores
	Pictures int     `json:"pictures"`
}

// LayerCard says what became of a layer's values.
type LayerCard struct {
	Name     string  `json:"name"`     // as in the GoogLeNet prototxt
	Operator string  `json:"operator"` // TensorFlow Lite's name
	Low      float64 `json:"low"`      // the least and the greatest value of the float network on the calibration pictures
	High     float64 `json:"high"`

	// Scale and ZeroPoint are those of an int8 layer: its values are (q-zero_point)*scale, before channel equalization is undone. A
	// layer that is computed in float has a scale of 0.
	Scale     float32 `json:"scale,omitzero"`
	ZeroPoint int     `json:"zero_point,omitzero"`

	// SNR is the signal-to-noise ratio in decibels: 10*log10 of the sum of squares of the float network's values over that of the
	// file's differences from them, inherited ones included.
	SNR float64 `json:"snr_db"`
}

// GoldenCard holds the expected scores of pictures that package drawn draws.
type GoldenCard struct {
	Tolerance float32      `json:"tolerance"` // by which no score may differ
	Inputs    []GoldenItem `json:"inputs"`
}

// GoldenItem is a drawn picture and its scores.
type GoldenItem struct {
	Name   string    `json:"name"` // of drawn.Picture
	Scores []float32 `json:"scores"`
}

// ParseCard reads a card. Unknown keys are allowed: a later version may say more.
func ParseCard(data []byte) (*Card, error) {
	var c Card
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&c); err != nil {
		return nil, fmt.Errorf("read model card: %w", err)
	}
	if c.Input.Size < 1 || c.Input.Size > 4096 {
		return nil, fmt.Errorf("read model card: input.size: want 1 to 4096, have %d", c.Input.Size)
	}
	if n := len(c.Golden.Inputs); n > maxGoldens {
		return nil, fmt.Errorf("read model card: golden.inputs: want at most %d, have %d", maxGoldens, n)
	}
	return &c, nil
}

// maxGoldens bounds the golden inputs, which are all drawn and run before a model is used.
const maxGoldens = 64

// JSON writes the card as it is kept in a file.
func (c *Card) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write model card: %w", err)
	}
	return append(data, '\n'), nil
}

// Goldens draws the card's golden inputs, at once. A picture that this version can't draw is an error.
func (c *Card) Goldens() ([]inference.Golden, error) {
	goldens := make([]inference.Golden, len(c.Golden.Inputs))
	errs := make([]error, len(goldens))
	var drawing sync.WaitGroup
	for i, item := range c.Golden.Inputs {
		drawing.Go(func() {
			pixels, err := drawn.Picture(item.Name, c.Input.Size)
			goldens[i], errs[i] = inference.Golden{Name: item.Name, Pixels: pixels, Scores: item.Scores}, err
		})
	}
	drawing.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read model card: %w", err)
	}
	return goldens, nil
}
