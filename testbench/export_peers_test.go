package testbench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sightd/camera"
	"sightd/daemon"
	"sightd/inference"
	"sightd/preprocess"
)

// exportPeersEnv names the folder where export_peers.sh collects what it measures.
const exportPeersEnv = "TEST_EXPORT_PEERS_OUT"

func exportPeersOut(t *testing.T) string {
	t.Helper()
	out := os.Getenv(exportPeersEnv)
	if out == "" {
		t.Skip(exportPeersEnv + " doesn't name a folder: make peers")
	}
	return out
}

// TestExportPeers writes photos as sightd prepares them, so that all programs are given the same pixels.
func TestExportPeers(t *testing.T) {
	out := exportPeersOut(t)
	for folder, name := range map[string]string{"imagenet": "photos_224.npy", "imagenette/calibration": "imagenette_224.npy"} {
		writePixels(t, shared(t, "images", folder), filepath.Join(out, name), 224)
	}
}

// writePixels writes the photos below a folder, sorted by path, as a .npy of uint8 [n, size, size, 3].
func writePixels(t *testing.T, folder, file string, size int) {
	t.Helper()
	var photos []string
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && camera.PictureName(d.Name()) {
			photos = append(photos, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(photos)
	transform, err := preprocess.New(preprocess.Input{Width: size, Height: size, Type: inference.UInt8}, preprocess.Squash)
	if err != nil {
		t.Fatal(err)
	}
	defer transform.Close() // frees C memory; there is nothing to report
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // likewise
	// The header of the format's version 1.0: magic, length, a Python dict, padded to 64 bytes (numpy.lib.format).
	header := fmt.Sprintf("{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d, 3), }", len(photos), size, size)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	data := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	data = append(data, header...)
	pixels := make([]byte, 3*size*size)
	for _, photo := range photos {
		if err := transform.Apply(pixels, decodeFile(t, decoder, photo)); err != nil {
			t.Fatal(err)
		}
		data = append(data, pixels...)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// otherAnswers is what mediapipe_classify.py and classic.py write.
type otherAnswers struct {
	Version string
	Photos  []struct {
		File   string
		Labels []string
		Scores []float64
	}
}

// minOtherAgreement is the share of photos on which a program that decodes and resizes by itself must find sightd's label: with channels
// swapped or pixels scaled wrongly it would be far below.
const minOtherAgreement = 0.9

// TestExportPeersAnswers compares the labels that other programs found in files for them with those that sightd finds.
func TestExportPeersAnswers(t *testing.T) {
	out := exportPeersOut(t)
	for _, program := range []string{"mediapipe", "classic"} {
		for _, model := range []string{"sightd_uint8", "sightd_integer"} {
			t.Run(program+" "+model, func(t *testing.T) {
				same, n := otherAgreement(t, out, program, model)
				t.Logf("%s: the same label on %d of %d photos", program, same, n)
				if float64(same) < minOtherAgreement*float64(n) {
					t.Errorf("want it on %.0f %%", 100*minOtherAgreement)
				}
			})
		}
	}
}

// otherAgreement counts the photos on which a program's best label is sightd's.
func otherAgreement(t *testing.T, out, program, model string) (same, n int) {
	t.Helper()
	var answers otherAnswers
	readJSON(t, filepath.Join(out, program+"_"+model+".json"), &answers)
	if len(answers.Photos) == 0 {
		t.Fatalf("%s judged no photo", program)
	}
	engine := openEngine(t, daemon.EngineOptions{Model: filepath.Join(out, model+".tflite"), Top: 1})
	decoder := camera.NewDecoder(testLimits)
	defer decoder.Close() // frees C memory; there is nothing to report
	for _, photo := range answers.Photos {
		result, err := engine.Classify(decodeFile(t, decoder, photo.File), preprocess.Squash)
		if err != nil {
			t.Fatal(err)
		}
		if len(photo.Labels) > 0 && photo.Labels[0] == result.Top[0].Label {
			same++
		}
	}
	return same, len(answers.Photos)
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}
