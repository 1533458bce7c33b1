package export

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sightd/export/graph"
	"sightd/export/weights"
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
	defer closeBoth(float.runs)
	runs, err := openTwice(data, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeBoth(runs)
	photos, err := labelledFolder(shared(t, "images/imagenette/val"), card.Labels)
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := evaluateFolder(photos, card.Input.Size, float.network, network{runs, graph.Symmetric}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	c := e.accuracyCard(photos.rule)
	floatTop1, top1, agreement := 100*c.FloatTop1, 100*c.Top1, 100*c.Agreement
	t.Logf("%d photos: top-1 float %.2f %%, int8 %.2f %%, the same label on %.2f %%", c.Pictures, floatTop1, top1, agreement)
	if floatTop1 < 90.5 {
		t.Errorf("float top-1: got %.2f %%, want about 91.15 %%, as the weights were measured to have", floatTop1)
	}
	if top1 < floatTop1-0.5 {
		t.Errorf("int8 top-1: got %.2f %%, want at most half a point below float's %.2f %%", top1, floatTop1)
	}
	if agreement < 98 {
		t.Errorf("agreement: got %.2f %%, want 98 %% or more", agreement)
	}
	if a := card.Accuracy; a == nil || a.Pictures != c.Pictures {
		t.Errorf("the card's accuracy: got %+v, want one over %d pictures", a, c.Pictures)
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
		// The metadata names the file of weights, and its format is told by what is in it.
		weights, err := filepath.Abs(shared(t, filepath.Join("weights", name)))
		if err != nil {
			t.Fatal(err)
		}
		o.Weights = filepath.Join(t.TempDir(), "weights")
		if err := os.Symlink(weights, o.Weights); err != nil {
			t.Fatal(err)
		}
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
