package models

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sightd/inference"
	"sightd/models/drawn"
)

// Card says what a .tflite file made by sightd export is: where it comes from, how it was made, what it was measured to do, and
// which scores prove that a machine runs it correctly. It lies beside the file as JSON.
type Card struct {
	Name     string     `json:"name"`
	File     FileCard   `json:"file"`
	Source   FileCard   `json:"source"`
	Exporter string     `json:"exporter"` // "sightd 0.1.0, TensorFlow Lite 2.20.0"
	Input    InputCard  `json:"input"`
	Outputs  []string   `json:"outputs"` // names, in order
	Labels   []string   `json:"labels"`
	Method   MethodCard `json:"method"`

	// Agreement compares the file with the float network on the calibration pictures, Accuracy on labelled ones.
	Agreement Agreement `json:"agreement"`
	Accuracy  *Accuracy `json:"accuracy,omitempty"`

	Golden GoldenCard `json:"golden"`
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

// MethodCard says how the file was quantized.
type MethodCard struct {
	Weights     string `json:"weights"`
	Activations string `json:"activations"`
	Pictures    int    `json:"calibration_pictures"`
	PicturesSHA string `json:"calibration_sha256"` // of the pictures' sha256 sums, in the order of their names
}

// Agreement counts the pictures whose best class is the same for float and int8.
type Agreement struct {
	Pictures int     `json:"pictures"`
	Top1     float64 `json:"top1"` // share, 0 to 1
}

// Accuracy is measured on labelled pictures. Shares are 0 to 1.
type Accuracy struct {
	Pictures  int     `json:"pictures"`
	FloatTop1 float64 `json:"float_top1"`
	Top1      float64 `json:"top1"`
	Agreement float64 `json:"agreement"`
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

// Goldens draws the card's golden inputs. A picture that this version can't draw is an error.
func (c *Card) Goldens() ([]inference.Golden, error) {
	goldens := make([]inference.Golden, len(c.Golden.Inputs))
	for i, item := range c.Golden.Inputs {
		pixels, err := drawn.Picture(item.Name, c.Input.Size)
		if err != nil {
			return nil, fmt.Errorf("read model card: %w", err)
		}
		goldens[i] = inference.Golden{Name: item.Name, Pixels: pixels, Scores: item.Scores}
	}
	return goldens, nil
}
