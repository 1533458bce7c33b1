package export

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/weights"
	"sightd/inference"
	"sightd/inference/tflite"
	"sightd/models"
)

// TestAccuracy holds the embedded model against the weights that it was made of, on all labelled photos.
func TestAccuracy(t *testing.T) {
	if raceEnabled {
		t.Skip("two networks over 1,966 photos: without the race detector only")
	}
	data, card, err := models.Default()
	if err != nil {
		t.Fatal(err)
	}
	set, err := weights.Open(shared(t, "weights/googlenet_imagenette.pth"))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() // it was only read
	g, err := graph.GoogLeNet(set, card.Input.Size)
	if err != nil {
		t.Fatal(err)
	}
	float, err := openFloat(g, graph.Symmetric, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer float.run.Close() // frees C memory; there is nothing to report
	run, err := tflite.OpenBytes(data, inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close() // likewise
	nobody := func(int, int) {}
	photos, err := readPictures(shared(t, "images/imagenette/val"), card.Input.Size, len(card.Labels), nobody)
	if err != nil {
		t.Fatal(err)
	}
	c, err := compare(float, run, graph.Symmetric, photos, nobody)
	if err != nil {
		t.Fatal(err)
	}
	floatTop1, top1, agreement := 100*share(c.floatRight, c.labelled), 100*share(c.right, c.labelled), 100*share(c.agree, c.pictures)
	t.Logf("%d photos: top-1 float %.2f %%, int8 %.2f %%, the same label on %.2f %%", c.labelled, floatTop1, top1, agreement)
	if floatTop1 < 90.5 {
		t.Errorf("float top-1: got %.2f %%, want about 91.15 %%, as the weights were measured to have", floatTop1)
	}
	if top1 < floatTop1-0.5 {
		t.Errorf("int8 top-1: got %.2f %%, want at most half a point below float's %.2f %%", top1, floatTop1)
	}
	if agreement < 98 {
		t.Errorf("agreement: got %.2f %%, want 98 %% or more", agreement)
	}
	if a := card.Accuracy; a == nil || a.Pictures != c.labelled {
		t.Errorf("the card's accuracy: got %+v, want one over %d pictures", a, c.labelled)
	}
}

// TestFormats exports the .pth, with heads and channels_last strides, and the .safetensors: the same network.
func TestFormats(t *testing.T) {
	var files [][]byte
	labels, err := os.ReadFile(shared(t, "weights/imagenette_labels.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"googlenet_imagenette.pth", "googlenet_imagenette.safetensors"} {
		o := small(t)
		o.Weights = shared(t, filepath.Join("weights", name))
		o.Labels = strings.Split(strings.TrimSpace(string(labels)), "\n")
		if _, err := Run(o); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the two formats of the same weights give different files")
	}
}
