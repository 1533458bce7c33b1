package testbench

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/camera"
	"sightd/camera/picture"
	"sightd/daemon"
	"sightd/export/tflitefile"
	"sightd/inference"
	"sightd/models"
	"sightd/preprocess"
)

const peersEnv = "TEST_PEERS_OUT"

// testLimits are the default configuration's.
var testLimits = picture.Limits{
	MaxPixels: daemon.Default().Limits.MaxPixels,
	MaxBytes:  int64(daemon.Default().Limits.MaxFileMB) << 20,
}

// peerModel tells another program what sightd made of the photos with a model.
type peerModel struct {
	Name   string   `json:"name"`
	File   string   `json:"file"`   // the .tflite
	Labels []string `json:"labels"` // as sightd read them
	Photos []string `json:"photos"`
	Shape  []int    `json:"shape"` // of the input tensor
	Type   string   `json:"type"`  // of the input tensor

	// Inputs holds the input tensor of each photo, one after the other; Scores as many times len(Labels) float32. Both are
	// little-endian.
	Inputs string `json:"inputs"`
	Scores string `json:"scores"`
}

// TestPeers writes what sightd makes of 200 photos, for testbench/peers/peers.py to compare with other programs: the default
// model's and those of the models in the folder that it is given.
func TestPeers(t *testing.T) {
	out := os.Getenv(peersEnv)
	if out == "" {
		t.Skip(peersEnv + " doesn't name a folder: make peers")
	}
	data, _, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(out, "*.tflite"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(out, "default.tflite")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	photos, _ := validationPhotos(t, 200)
	manifest := []peerModel{judgeForPeers(t, "", file, photos)} // "" is the embedded model, whose bytes are in file
	for _, file := range files {
		if filepath.Base(file) != "default.tflite" { // of an earlier run
			manifest = append(manifest, judgeForPeers(t, file, file, photos))
		}
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "sightd.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// judgeForPeers classifies photos as the daemon does, and prepares the same input tensors beside it.
func judgeForPeers(t *testing.T, path, file string, photos []string) peerModel {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := tflitefile.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	engine := openEngine(t, daemon.EngineOptions{Model: path, Top: math.MaxInt})
	spec := engine.Spec().Input
	in := preprocess.Input{Height: spec.Shape[1], Width: spec.Shape[2], Type: spec.Type}
	if spec.Type == inference.Float32 {
		n := model.Metadata.Input.Normalization
		copy(in.Mean[:], n.Mean)
		copy(in.Std[:], n.Std)
	}
	transform, err := preprocess.New(in, preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close() // frees C memory; there is nothing to report
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // likewise

	var inputs, scores []byte
	for _, photo := range photos {
		frame := decodeFile(t, decoder, photo)
		tensor := make([]byte, spec.ByteSize())
		if err := transform.Apply(tensor, frame); err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, tensor...)
		result, err := engine.Classify(frame, preprocess.Squash)
		if err != nil {
			t.Fatalf("classify %s: %v", photo, err)
		}
		row := make([]byte, 4*len(engine.Labels))
		for _, s := range result.Top {
			binary.LittleEndian.PutUint32(row[4*s.Index:], math.Float32bits(s.Score))
		}
		scores = append(scores, row...)
	}
	p := peerModel{
		Name: strings.TrimSuffix(filepath.Base(file), ".tflite"), File: file, Labels: engine.Labels, Photos: photos,
		Shape: spec.Shape, Type: spec.Type.String(),
	}
	p.Inputs, p.Scores = strings.TrimSuffix(file, ".tflite")+".inputs", strings.TrimSuffix(file, ".tflite")+".scores"
	for name, content := range map[string][]byte{p.Inputs: inputs, p.Scores: scores} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s: input %s, %s", p.Name, spec, engine.Delegation())
	return p
}

// openEngine opens a model until the test's end.
func openEngine(t testing.TB, options daemon.EngineOptions) *daemon.Engine {
	t.Helper()
	engine, err := daemon.OpenEngine(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

// decodeFile decodes a picture's file. The frame is valid until the decoder is used again.
func decodeFile(t testing.TB, decoder *camera.Decoder, file string) camera.Frame {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mat, _, err := decoder.Decode(data)
	if err != nil {
		t.Fatalf("decode %s: %v", file, err)
	}
	return camera.Frame{Mat: mat, File: file}
}
